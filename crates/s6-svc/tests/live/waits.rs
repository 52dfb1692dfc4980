//! Our waits end where `s6-svwait`'s do, and as they do.

use std::fs;
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use s6_svc::{Command, Deadline, Goal, ServiceDir, Status, WaitError, Watch};

use crate::rig::Rig;
use crate::support::{Tree, pause, until};

/// One thing that is done to the service, after which its state is certain.
#[derive(Clone, Copy, Debug)]
enum Act {
    Up,
    Ready,
    Down,
    /// It ends and `finish` takes its time.
    Finishing,
    /// `finish` ends.
    Finished,
    /// It fails for good.
    Fail,
    /// It ends and is started again.
    Restart,
    /// The supervisor of a service that is down exits.
    Exit,
}

fn act(rig: &Rig, act: Act) {
    let control = |command| rig.service.control(&[command]).unwrap();
    match act {
        Act::Up => {
            control(Command::Up);
            rig.until("up", Status::is_up);
        }
        Act::Ready => {
            rig.say("ready");
            rig.until("ready", Status::is_ready);
        }
        Act::Down => {
            control(Command::Down);
            rig.until("down", Status::is_finished);
        }
        Act::Finishing => {
            rig.mode("slow");
            control(Command::Down);
            rig.until("finishing", |status| {
                !status.is_up() && !status.is_finished()
            });
        }
        Act::Finished => {
            rig.release();
            rig.until("finished", Status::is_finished);
            rig.mode("fast");
        }
        Act::Fail => {
            rig.mode("fail");
            control(Command::Terminate);
            rig.until("failed", |status| {
                status.is_finished() && status.want() == s6_svc::Want::Down
            });
            rig.mode("fast");
        }
        Act::Restart => {
            let pid = rig.service.status().unwrap().pid();
            control(Command::Restart);
            rig.until("restarted", |status| status.is_up() && status.pid() != pid);
        }
        Act::Exit => {
            let old = rig.service.supervisor().unwrap();
            control(Command::Exit);
            // Not until there is another: s6-svscan may forget it.
            until("its supervisor is gone", || {
                rig.service.supervisor().unwrap() != old
            });
        }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reached,
    Lost,
}

fn ours(services: Vec<ServiceDir>, goal: Goal, any: bool) -> Receiver<Option<End>> {
    let (tell, told) = channel();
    let mut watch = Watch::new(services).unwrap();
    std::thread::spawn(move || {
        let deadline = Deadline::after(Duration::from_secs(20));
        let result = if any {
            watch.wait_any(goal, deadline).map(drop)
        } else {
            watch.wait_all(goal, deadline)
        };
        let end = match result {
            Ok(()) => Some(End::Reached),
            Err(WaitError::Lost { .. }) => Some(End::Lost),
            Err(WaitError::TimedOut { .. }) => None,
            Err(error) => panic!("{error:?}"),
        };
        // Nobody may be there any more to be told.
        tell.send(end).ok();
    });
    told
}

fn listeners(service: &ServiceDir) -> usize {
    let names = fs::read_dir(service.path().join("event")).unwrap();
    names
        .filter(|name| {
            name.as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("ftrig1:@")
        })
        .count()
}

fn theirs(services: &[ServiceDir], letter: &str, any: bool) -> Child {
    let before: Vec<usize> = services.iter().map(listeners).collect();
    let mut command = Process::new("s6-svwait");
    command
        .arg(format!("-{letter}"))
        .arg(if any { "-o" } else { "-a" });
    command.args(services.iter().map(ServiceDir::path));
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("s6-svwait listens", || {
        child.try_wait().unwrap().is_some()
            || services
                .iter()
                .zip(&before)
                .all(|(service, before)| listeners(service) > *before)
    });
    // It looks at the state after it has begun to listen.
    for _ in 0..10 {
        pause();
    }
    child
}

/// After which act each wait ended, and how.
fn ends(
    rigs: &[Rig],
    goal: Goal,
    letter: &str,
    any: bool,
    acts: &[(usize, Act)],
) -> [Option<(usize, End)>; 2] {
    let services: Vec<ServiceDir> = rigs.iter().map(|rig| rig.service.clone()).collect();
    let told = ours(services.clone(), goal, any);
    let mut child = theirs(&services, letter, any);
    let mut ends = [None, None];
    for step in 0..=acts.len() {
        if step > 0 {
            let (index, what) = acts[step - 1];
            act(&rigs[index], what);
        }
        let begin = Instant::now();
        // If one has ended here, so has the other, or soon will.
        while begin.elapsed() < Duration::from_millis(60)
            || (ends[0].is_some() != ends[1].is_some() && begin.elapsed() < Duration::from_secs(2))
        {
            if ends[0].is_none() {
                match told.try_recv() {
                    Ok(end) => ends[0] = end.map(|end| (step, end)),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => panic!("the wait panicked"),
                }
            }
            if ends[1].is_none() {
                let status = child.try_wait().unwrap();
                ends[1] = status.map(|status| {
                    (
                        step,
                        if status.success() {
                            End::Reached
                        } else {
                            End::Lost
                        },
                    )
                });
            }
            pause();
        }
    }
    child.kill().ok();
    child.wait().unwrap();
    ends
}

const GOALS: [(Goal, &str); 6] = [
    (Goal::Up, "u"),
    (Goal::Ready, "U"),
    (Goal::Down, "d"),
    (Goal::Finished, "D"),
    (Goal::Restarted, "r"),
    (Goal::RestartedAndReady, "R"),
];

#[test]
fn waits_for_one_service_end_as_s6_svwaits_do() {
    use Act::{Down, Exit, Fail, Finished, Finishing, Ready, Restart, Up};
    let lives: [(&str, &[Act], &[Act]); 7] = [
        ("starts", &[], &[Up, Ready, Finishing, Finished]),
        ("stops", &[Up, Ready], &[Finishing, Finished, Up]),
        ("restarts", &[Up, Ready], &[Restart, Ready, Down]),
        ("fails", &[Up], &[Fail, Up, Ready]),
        ("finishes", &[Up, Finishing], &[Finished, Up]),
        ("loses its supervisor", &[], &[Exit]),
        ("is down", &[Up, Down], &[Up]),
    ];
    let tree = Tree::start();
    std::thread::scope(|scope| {
        for (index, (life, before, acts)) in lives.into_iter().enumerate() {
            let tree = &tree;
            scope.spawn(move || {
                for (goal, letter) in GOALS {
                    let rig = Rig::register(
                        tree,
                        &format!(
                            "life-{index}-{}",
                            letter.to_lowercase()
                                + if letter.chars().all(char::is_uppercase) {
                                    "2"
                                } else {
                                    "1"
                                }
                        ),
                    );
                    for what in before {
                        act(&rig, *what);
                    }
                    let acts: Vec<_> = acts.iter().map(|act| (0, *act)).collect();
                    let [ours, theirs] = ends(&[rig], goal, letter, false, &acts);
                    if life == "fails" && matches!(goal, Goal::Restarted | Goal::RestartedAndReady)
                    {
                        // s6-svwait may or may not see the failure, depending on how many events
                        // it reads at once. We do in any case.
                        assert_eq!(ours, Some((1, End::Lost)));
                        continue;
                    }
                    assert_eq!(ours, theirs, "waiting for {goal} while it {life}: {acts:?}");
                }
            });
        }
    });
}

#[test]
fn waits_for_several_services_end_as_s6_svwaits_do() {
    use Act::{Down, Fail, Ready, Up};
    let tree = Tree::start();
    let lives: [&[(usize, Act)]; 4] = [
        &[(0, Up), (1, Up), (1, Ready), (0, Ready)],
        &[(0, Up), (0, Down), (1, Up), (0, Up)],
        &[(1, Up), (1, Fail), (0, Up)],
        &[
            (0, Up),
            (0, Ready),
            (1, Up),
            (1, Ready),
            (0, Down),
            (1, Down),
        ],
    ];
    std::thread::scope(|scope| {
        for (index, acts) in lives.into_iter().enumerate() {
            let tree = &tree;
            scope.spawn(move || {
                for (number, (goal, letter)) in GOALS.into_iter().take(4).enumerate() {
                    for any in [false, true] {
                        let name = |who| format!("{who}-{index}-{number}-{}", u8::from(any));
                        let rigs = ["a", "b"].map(|who| Rig::register(tree, &name(who)));
                        let [ours, mut theirs] = ends(&rigs, goal, letter, any, acts);
                        let fails = acts.iter().any(|(_, act)| matches!(act, Fail));
                        if fails && !any && matches!(goal, Goal::Up) {
                            // s6-svwait takes the end of a service that failed for good for a mere
                            // end, and waits for it for ever. We tell that it is lost.
                            assert_eq!(theirs, None);
                            theirs = Some((acts.len(), End::Lost));
                        }
                        assert_eq!(ours, theirs, "waiting for {goal}, any {any}: {acts:?}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_waiters_fifo_is_removed_by_the_next_one() {
    let tree = Tree::start();
    let rig = Rig::register(&tree, "a");
    let mut child = theirs(std::slice::from_ref(&rig.service), "u", false);
    // Its helper holds the FIFO.
    let helpers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let parent = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent: u32 = parent
            .rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        (comm.starts_with("s6-ftrigrd") && parent == child.id()).then_some(pid)
    });
    let helpers: Vec<i32> = helpers.collect();
    for pid in &helpers {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // While it is dying it holds the FIFO open, and would count as somebody who listens.
    until("its helper is dead", || {
        helpers.iter().all(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_none_or(|rest| {
                let state = rest.split_whitespace().next();
                matches!(state, None | Some("Z" | "X"))
            })
        })
    });
    until("only the FIFO is left", || listeners(&rig.service) == 1);
    let watch = Watch::new([rig.service.clone()]).unwrap();
    until("the abandoned one is gone and ours is there", || {
        listeners(&rig.service) == 1
    });
    drop(watch);
    assert_eq!(listeners(&rig.service), 0);
}

#[test]
fn a_deadline_bounds_the_wait_and_tells_what_was_seen_last() {
    let tree = Tree::start();
    let rig = Rig::register(&tree, "a");
    let mut watch = Watch::new([rig.service.clone()]).unwrap();
    let begin = Instant::now();
    let result = watch.wait_all(Goal::Up, Deadline::after(Duration::from_millis(100)));
    assert!(begin.elapsed() >= Duration::from_millis(100));
    let text = result.unwrap_err().to_string();
    let path = rig.service.path();
    assert_eq!(
        text,
        format!(
            "timed out before being up; {}: not started yet",
            path.display()
        )
    );
}
