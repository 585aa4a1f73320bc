//! What is made of the table of bodies.

macro_rules! bodies {
    ($($(#[doc = $doc:literal])* $name:ident = $kind:literal { $($(#[$meta:meta])* $field:ident : $ty:ty),* $(,)? })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$meta])* pub $field: $ty,)* }

            impl From<$name> for EventBody {
                fn from(body: $name) -> Self { Self::$name(body) }
            }
        )*

        /// What an event says, by its type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum EventBody {
            /// `task.submitted`: the whole request.
            Submitted(Box<TaskSpec>),
            $($(#[doc = $doc])* $name($name),)*
            /// `custom.<name>`: an executor's own.
            Custom {
                /// What follows `custom.`.
                name: String,
                /// Anything.
                data: Json,
            },
        }

        impl EventBody {
            /// Every type of event but the custom ones.
            pub const KINDS: &'static [&'static str] = &["task.submitted", $($kind,)*];

            /// The type of the event.
            pub fn kind(&self) -> Cow<'static, str> {
                match self {
                    Self::Submitted(_) => Cow::Borrowed("task.submitted"),
                    $(Self::$name(_) => Cow::Borrowed($kind),)*
                    Self::Custom { name, .. } => Cow::Owned(format!("custom.{name}")),
                }
            }

            /// The canonical data.
            ///
            /// # Errors
            /// None that a body built from valid parts can cause.
            pub fn data(&self) -> Result<Json, serde_json::Error> {
                let text = match self {
                    Self::Submitted(body) => serde_json::to_string(body)?,
                    $(Self::$name(body) => serde_json::to_string(body)?,)*
                    Self::Custom { data, .. } => return Ok(data.clone()),
                };
                Json::from_canonical(text)
            }

            /// Reads the data of an event of this type.
            ///
            /// # Errors
            /// If the data is not of the form that the type and version have, or nobody knows the type.
            pub fn read(kind: &str, body_v: u32, data: &Json) -> Result<Self, BodyError> {
                use serde::de::Error;
                let read = || match (kind, body_v) {
                    ("task.submitted", 1) => data.parse().map(|body| Self::Submitted(Box::new(body))),
                    $(($kind, 1) => data.parse().map(Self::$name),)*
                    (_, 1) => match kind.strip_prefix("custom.") {
                        Some(name) => Ok(Self::Custom { name: name.to_owned(), data: data.clone() }),
                        None => Err(serde_json::Error::custom("unknown type of event: a newer Everloop wrote it")),
                    },
                    (_, _) => Err(serde_json::Error::custom("unknown body_v: a newer Everloop wrote it")),
                };
                read().map_err(|source| BodyError { kind: kind.to_owned(), body_v, source })
            }
        }
    };
}
