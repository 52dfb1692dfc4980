//! `talaria svc`: services that s6 supervises.

pub(crate) mod args;
mod failure;
mod json;
mod list;
mod stat;

use s6_svc::{
    Deadline, Definition, Goal, Program, Registered, Registration, Scandir, Unregistered,
    Unregistration, Watch,
};

use crate::cli::{Control, Register, Svc, SvcCommand, Unregister, Wait};
use crate::output;
use args::Span;
pub(crate) use failure::Failure;

/// What went wrong, one for each service.
pub(crate) type Result = std::result::Result<(), Vec<Failure>>;

pub(crate) fn run(svc: Svc) -> Result {
    let scandir = Scandir::new(&svc.scandir).map_err(one)?;
    match svc.command {
        SvcCommand::Stat(stat) => stat::run(&scandir, &stat),
        SvcCommand::Control(control) => run_control(&scandir, &control),
        SvcCommand::Wait(wait) => run_wait(&scandir, &wait),
        SvcCommand::List(list) => list::run(&scandir, &list),
        SvcCommand::Register(register) => run_register(&scandir, *register),
        SvcCommand::Unregister(unregister) => run_unregister(&scandir, &unregister),
    }
}

fn one(failure: impl Into<Failure>) -> Vec<Failure> {
    vec![failure.into()]
}

fn deadline(timeout: Option<Span>) -> Deadline {
    timeout.map_or(Deadline::NEVER, |Span(timeout)| Deadline::after(timeout))
}

fn run_control(scandir: &Scandir, control: &Control) -> Result {
    let service = control.service.service(scandir);
    let Some(state) = control.wait else {
        return service.control(&control.commands).map_err(one);
    };
    let goal = attainable(state.into(), service.notifies_readiness().map_err(one)?);
    let deadline = deadline(control.timeout);
    service
        .control_and_wait(&control.commands, goal, deadline)
        .map_err(one)
}

/// A service that never tells is not waited for, as s6-svc does it.
fn attainable(goal: Goal, notifies: bool) -> Goal {
    let less = match goal {
        Goal::Ready => Goal::Up,
        Goal::RestartedAndReady => Goal::Restarted,
        other => other,
    };
    if !notifies && less != goal {
        anstream::eprintln!("talaria: the service has no notification-fd: waiting for {less}");
        return less;
    }
    goal
}

fn run_wait(scandir: &Scandir, wait: &Wait) -> Result {
    let services = wait.services.iter().map(|target| target.service(scandir));
    raise_limit();
    let mut watch = Watch::new(services).map_err(one)?;
    let (goal, deadline) = (wait.state.into(), deadline(wait.timeout));
    if wait.any {
        let index = watch.wait_any(goal, deadline).map_err(one)?;
        if let Some(service) = watch.services().nth(index) {
            output::line(service.path().display()).map_err(one)?;
        }
        Ok(())
    } else {
        watch.wait_all(goal, deadline).map_err(one)
    }
}

/// Each service that is watched takes a descriptor; where the limit stays, the wait says so.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .ok();
}

fn run_register(scandir: &Scandir, register: Register) -> Result {
    let name = register.name.clone();
    let owner = register.owner;
    let timeout = register.timeout;
    let definition = define(register).map_err(one)?;
    let mut call = Registration::new(scandir, &name, &definition);
    if let Some(args::Owner(owner)) = owner {
        call = call.owner(owner);
    }
    let registered = call
        .deadline(deadline(Some(timeout)))
        .execute()
        .map_err(one)?;
    let text = match registered {
        Registered::Already => "registered already",
        _ => "registered",
    };
    output::line(format_args!("{name}: {text}")).map_err(one)
}

fn define(register: Register) -> std::result::Result<Definition, s6_svc::DefinitionError> {
    let mut definition = Definition::new(Program::Link(register.run));
    if let Some(finish) = register.finish {
        definition = definition.finish(Program::Link(finish));
    }
    if let Some(log) = register.log {
        definition = definition.log(Definition::new(Program::Link(log)))?;
    }
    if let Some(fd) = register.notification_fd {
        definition = definition.notification_fd(fd)?;
    }
    if let Some(Span(time)) = register.timeout_kill {
        definition = definition.timeout_kill(time)?;
    }
    if let Some(Span(time)) = register.timeout_finish {
        definition = definition.timeout_finish(time)?;
    }
    if let Some(signal) = register.down_signal {
        definition = definition.down_signal(signal)?;
    }
    if let Some(records) = register.max_death_tally {
        definition = definition.max_death_tally(records)?;
    }
    for variable in register.env {
        definition = definition.variable(variable.name, variable.value)?;
    }
    Ok(if register.down {
        definition.down()
    } else {
        definition
    })
}

fn run_unregister(scandir: &Scandir, unregister: &Unregister) -> Result {
    let mut failures = Vec::new();
    for name in &unregister.names {
        let call = Unregistration::new(scandir, name)
            .grace(unregister.grace.0)
            .deadline(deadline(Some(unregister.timeout)));
        let said = match call.execute() {
            Ok(Unregistered::Absent) => output::line(format_args!("{name}: was not there")),
            Ok(_) => output::line(format_args!("{name}: unregistered")),
            Err(error) => {
                failures.push(error.into());
                continue;
            }
        };
        failures.extend(said.err().map(Failure::from));
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}
