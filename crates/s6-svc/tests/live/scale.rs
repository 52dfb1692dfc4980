//! A thousand services, and what they cost.

use std::time::{Duration, Instant};

use s6_svc::{
    Command, Deadline, Goal, Registration, ServiceDir, ServiceName, Unregistration, Watch,
};

use crate::support::{Tree, many, name, s6, sleeper};

const SERVICES: usize = 1000;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_thousand_services_are_registered_listed_stopped_and_unregistered() {
    // One descriptor each is needed to watch them all.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let tree = Tree::start_with(|_| {}, many());
    let deadline = || Deadline::after(Duration::from_mins(2));
    let names: Vec<ServiceName> = (0..SERVICES)
        .map(|index| name(&format!("svc-{index}")))
        .collect();
    let definition = sleeper();

    let begin = Instant::now();
    for name in &names {
        Registration::new(&tree.scandir, name, &definition)
            .deadline(deadline())
            .execute()
            .unwrap();
    }
    let registered = begin.elapsed();

    let entries = tree.scandir.entries().unwrap();
    assert_eq!(entries.len(), SERVICES);
    let services: Vec<ServiceDir> = entries
        .iter()
        .map(|entry| entry.service().clone())
        .collect();
    Watch::new(services.clone())
        .unwrap()
        .wait_all(Goal::Up, deadline())
        .unwrap();

    let mut statuses = Vec::new();
    for _ in 0..9 {
        let begin = Instant::now();
        assert!(
            services
                .iter()
                .all(|service| service.status().unwrap().is_up())
        );
        statuses.push(begin.elapsed());
    }
    let ours = median(statuses);
    let begin = Instant::now();
    for service in &services {
        let path = service.path();
        let output = s6("s6-svstat", &["-o", "up", path.to_str().unwrap()]);
        assert_eq!(output.stdout, b"true\n");
    }
    let theirs = begin.elapsed();

    let mut starts = Vec::new();
    for service in &services {
        let begin = Instant::now();
        service.control(&[Command::Up]).unwrap();
        starts.push(begin.elapsed());
    }
    let start = median(starts.clone());
    let worst = starts.into_iter().max().unwrap();

    let begin = Instant::now();
    let mut watch = Watch::new(services.clone()).unwrap();
    for service in &services {
        service.control(&[Command::Down]).unwrap();
    }
    watch.wait_all(Goal::Finished, deadline()).unwrap();
    let stopped = begin.elapsed();
    drop(watch);

    let begin = Instant::now();
    for name in &names {
        Unregistration::new(&tree.scandir, name)
            .deadline(deadline())
            .execute()
            .unwrap();
    }
    let unregistered = begin.elapsed();
    assert_eq!(tree.names(), [] as [String; 0]);
    assert_eq!(tree.supervisors(), []);

    println!("register {SERVICES}: {registered:?}");
    println!("status of {SERVICES}: {ours:?}; {SERVICES} runs of s6-svstat: {theirs:?}");
    println!("ratio {:.0}", theirs.as_secs_f64() / ours.as_secs_f64());
    println!("start command: median {start:?}, worst {worst:?}");
    println!("stop {SERVICES}: {stopped:?}");
    println!("unregister {SERVICES}: {unregistered:?}");
    // Bounds for a loaded machine; the figures themselves are for the benchmark.
    assert!(ours < Duration::from_millis(300) && ours * 10 < theirs);
    assert!(start < Duration::from_millis(10));
}
