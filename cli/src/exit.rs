use std::io;
use std::process::ExitCode;

use audit::ReadError;
use tenancy::rbac::{DumpFault, QuestionFault};
use tenancy::self_service::Fault;

/// What a command exits with. Usage errors that clap finds exit with [`Exit::Usage`] too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Code 0: done.
    Done,
    /// Code 1: it failed.
    Failed,
    /// Code 2: the arguments cannot be what was meant.
    Usage,
    /// Code 3: what was asked for is not there.
    NotFound,
    /// Code 4: a check found a difference.
    Differs,
}

impl Exit {
    /// The code for an error of a command.
    ///
    /// A reader that closed the pipe, as `head` does, has what it wanted: that is no failure.
    pub fn of(error: &anyhow::Error) -> Self {
        let is_closed_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<io::Error>().is_some_and(is_closed_pipe) {
            return Self::Done;
        }
        match error.downcast_ref::<ReadError>() {
            Some(ReadError::NotFound { .. } | ReadError::Missing { .. }) => Self::NotFound,
            Some(ReadError::IdInvalid { .. } | ReadError::Ambiguous { .. }) => Self::Usage,
            None => Self::of_tenants(error),
            Some(_) => Self::Failed,
        }
    }

    /// The code for an error of a command about tenants or rights.
    fn of_tenants(error: &anyhow::Error) -> Self {
        if error.is::<QuestionFault>() {
            return Self::Usage;
        }
        match (error.downcast_ref::<Fault>(), error.downcast_ref::<DumpFault>()) {
            (Some(Fault::Usage(_)), _) => Self::Usage,
            (Some(Fault::NotFound(_)), _) => Self::NotFound,
            (_, Some(DumpFault::Unreadable { why, .. })) if why.kind() == io::ErrorKind::NotFound => {
                Self::NotFound
            }
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::NotFound => Self::from(3),
            Exit::Differs => Self::from(4),
        }
    }
}
