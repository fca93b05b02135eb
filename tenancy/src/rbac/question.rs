use super::resources::resource_group;

/// What somebody wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Something with objects.
    Resource {
        /// The verb, such as `get`.
        verb: String,
        /// The API group; empty for the core one.
        group: String,
        /// The plural name.
        resource: String,
        /// The subresource; empty for the object itself.
        subresource: String,
        /// The object; empty for all of them.
        name: String,
    },
    /// Something with a path that is no resource.
    Path {
        /// The verb, such as `get`.
        verb: String,
        /// The path, such as `/healthz`.
        path: String,
    },
}

/// A question that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionFault {
    /// An empty verb, resource or group.
    #[error(
        "`{0}` is no resource: write `pods`, `pods/exec`, `deployments.apps` or a path such as `/healthz`"
    )]
    Resource(String),
    /// A path has no objects with names.
    #[error("`{0}` is a path, and a path has no objects with names")]
    NameOfPath(String),
}

impl Question {
    /// Reads `RESOURCE[.GROUP][/SUBRESOURCE]`, or a path that begins with a slash.
    ///
    /// A well-known resource without a group has its own; any other is one of the core group.
    ///
    /// # Errors
    /// Where the text is no resource.
    pub fn parse(verb: &str, resource: &str, name: Option<&str>) -> Result<Self, QuestionFault> {
        let verb = verb.to_ascii_lowercase();
        if resource.starts_with('/') {
            return match name {
                Some(_) => Err(QuestionFault::NameOfPath(resource.to_owned())),
                None => Ok(Self::Path { verb, path: resource.to_owned() }),
            };
        }
        let (whole, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (plural, group) = match whole.split_once('.') {
            Some((plural, group)) => (plural, group),
            None => (whole, resource_group(whole)),
        };
        let dangling = whole.ends_with('.') || (resource.contains('/') && subresource.is_empty());
        if plural.is_empty() || dangling {
            return Err(QuestionFault::Resource(resource.to_owned()));
        }
        let owned = str::to_owned;
        Ok(Self::Resource {
            verb,
            group: owned(group),
            resource: owned(plural),
            subresource: owned(subresource),
            name: owned(name.unwrap_or_default()),
        })
    }

    /// The verb.
    pub fn verb(&self) -> &str {
        match self {
            Self::Resource { verb, .. } | Self::Path { verb, .. } => verb,
        }
    }

    /// Whether a request of this verb can say which object it is about.
    ///
    /// A create of an object does not have its name in the address, and a collection has none.
    pub fn may_name_an_object(&self) -> bool {
        match self {
            Self::Resource { verb, subresource, .. } => match verb.as_str() {
                "create" => !subresource.is_empty(),
                "deletecollection" => false,
                _ => true,
            },
            Self::Path { .. } => false,
        }
    }

    /// The same about no object in particular.
    #[must_use]
    pub fn of_all(mut self) -> Self {
        if let Self::Resource { name, .. } = &mut self {
            name.clear();
        }
        self
    }
}
