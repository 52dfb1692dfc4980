//! Whose files are whose after the agent's user got other ids, and others again.

use docker_harness::{Ended, Failure, Lab, on_base};

use crate::common::{HOME, SOON, messages};

/// Boots on a volume with these variables, and runs a script as the agent's user.
async fn boot(
    lab: &Lab,
    volume: &str,
    variables: &[(&str, &str)],
    script: &str,
) -> Result<Ended, Failure> {
    let spec = lab.container().volume(volume, HOME).shell(script);
    let spec = variables
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(name, value));
    let ended = lab.run(spec, SOON).await?;
    assert_eq!(0, ended.code, "{script}: {}", ended.output.err());
    Ok(ended)
}

/// Runs a script as root on a volume, with nothing of ours around it.
async fn as_root(lab: &Lab, volume: &str, script: &str) -> Result<(), Failure> {
    let script = format!("cd {HOME} && {script}");
    let spec = lab
        .container()
        .volume(volume, HOME)
        .entrypoint(["/bin/sh"])
        .command(["-c", &script]);
    let ended = lab.run(spec, SOON).await?;
    assert_eq!(0, ended.code, "{script}: {}", ended.output.err());
    Ok(())
}

#[test]
fn files_follow_from_one_remap_to_the_next_and_back() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        boot(lab, &volume, &[], "mkdir a; touch a/1").await?;
        as_root(
            lab,
            &volume,
            "mkdir theirs; touch theirs/f; chown -R 1234:1234 theirs",
        )
        .await?;
        let look = "stat -c '%n %u:%g' . a/* theirs theirs/f; cat .talaria-owner; stat -c '%u:%g %a' .talaria-owner";
        let steps = [
            ([("HERMES_UID", "99"), ("HERMES_GID", "100")], "99:100"),
            ([("PUID", "7"), ("PGID", "8")], "7:8"),
            ([("HERMES_UID", "7"), ("HERMES_GID", "20")], "7:20"),
        ];
        let owned = |count: usize, ids: &str| -> String {
            let names = ["1", "2", "3", "4"].iter().take(count);
            let lines: Vec<_> = names.map(|name| format!("a/{name} {ids}\n")).collect();
            lines.concat()
        };
        for ((variables, ids), (count, new)) in
            steps.into_iter().zip([(2, "2"), (3, "3"), (4, "4")])
        {
            let script = format!("touch a/{new}; {look}");
            let ended = boot(lab, &volume, &variables, &script).await?;
            let own = owned(count, ids);
            let expected =
                format!(". {ids}\n{own}theirs 1234:1234\ntheirs/f 1234:1234\n{ids}\n0:0 644\n");
            assert_eq!(expected, ended.output.out());
            assert_eq!("", ended.output.err());
        }
        let look = "stat -c '%n %u:%g' . a/* theirs; ls .talaria-owner; true";
        let back = boot(lab, &volume, &[], look).await?.output.out();
        let own = owned(4, "10000:10000");
        assert_eq!(format!(". 10000:10000\n{own}theirs 1234:1234\n"), back);
        Ok(())
    });
}

#[test]
fn a_group_follows_by_itself_and_other_groups_stay() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        boot(
            lab,
            &volume,
            &[],
            "mkdir a; touch a/own a/shared; chmod 600 a/own",
        )
        .await?;
        as_root(lab, &volume, "chgrp 44 a/shared").await?;
        let look = "stat -c '%n %u:%g %a' . a a/own a/shared .env";
        for _ in 0..2 {
            let told = boot(lab, &volume, &[("HERMES_GID", "20")], look).await?;
            let expected = ". 10000:20 755\na 10000:20 755\na/own 10000:20 600\na/shared 10000:44 644\n.env 10000:20 600\n";
            assert_eq!(
                (expected.to_owned(), String::new()),
                (told.output.out(), told.output.err())
            );
        }
        Ok(())
    });
}

#[test]
fn a_record_that_the_agent_wrote_gives_nothing_away() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        let forge = "rm .talaria-owner && echo 1234:1234 > .talaria-owner";
        boot(lab, &volume, &[("PUID", "99"), ("PGID", "100")], forge).await?;
        as_root(lab, &volume, "touch theirs; chown 1234:1234 theirs").await?;
        let look = "stat -c '%n %u:%g' . theirs; cat .talaria-owner";
        let told = boot(lab, &volume, &[("PUID", "7"), ("PGID", "8")], look).await?;
        assert_eq!(". 7:8\ntheirs 1234:1234\n7:8\n", told.output.out());
        Ok(())
    });
}

#[test]
fn a_record_that_the_home_contradicts_gives_nothing_away() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        boot(lab, &volume, &[("PUID", "99"), ("PGID", "100")], "true").await?;
        // As if the agent had brought back a record of root's from before.
        let bring = "echo 1234:1234 > .talaria-owner; touch theirs; chown 1234:1234 theirs";
        as_root(lab, &volume, bring).await?;
        let look = "stat -c '%n %u:%g' . theirs; cat .talaria-owner";
        let told = boot(lab, &volume, &[("PUID", "7"), ("PGID", "8")], look).await?;
        assert_eq!(". 7:8\ntheirs 1234:1234\n7:8\n", told.output.out());
        let said = "/opt/data: uid 99 owns it, and root's record names uid 1234: what else uid 99 owns there stays as it is";
        assert_eq!(Some(&said), messages(&told.output.err()).first());
        Ok(())
    });
}

#[test]
fn without_the_right_to_chown_it_boots_and_says_what_it_could_not_give() {
    on_base(async |lab| {
        let volume = lab.volume().await?;
        boot(lab, &volume, &[], "mkdir a").await?;
        as_root(lab, &volume, "touch a/roots roots").await?;
        let spec = lab.container().volume(&volume, HOME).cap_drop("CHOWN");
        let container = lab.start(spec.command(["sleep", "infinity"])).await?;
        container
            .says(
                "talaria: /opt/data: 2 entries could not be given to uid 10000, the first of them roots",
                SOON,
            )
            .await?;
        assert_eq!(
            "10000:10000\n",
            container.shell("stat -c %u:%g /opt/data").await?.stdout
        );
        let written = container.shell("touch /opt/data/new").await?;
        assert_eq!(0, written.code, "{}", written.stderr);
        Ok(())
    });
}
