//! What a route is: how it is called, what it takes and gives, and who handles it.

use crate::app::App;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use everloop_api::LEASE_HEADER;
use everloop_api::schema::LEASE_PATTERN;
use everloop_types::error::Code;
use everloop_types::limits;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Makes the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The body of a request.
pub(crate) enum Payload {
    /// There is none.
    Nothing,
    /// JSON.
    Json {
        /// Its schema.
        schema: SchemaOf,
        /// Whether it may be left out.
        optional: bool,
        /// One that works.
        example: &'static str,
    },
    /// Bytes.
    Raw,
}

/// A parameter of the query.
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Its JSON Schema.
    pub(crate) schema: Value,
}

/// One answer of a route.
pub(crate) struct AnswerDoc {
    pub(crate) status: u16,
    pub(crate) media_type: &'static str,
    pub(crate) schema: Option<SchemaOf>,
    pub(crate) what: &'static str,
}

/// A route, described once.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Whether it lies under the base path.
    pub(crate) based: bool,
    pub(crate) path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) params: Vec<Param>,
    pub(crate) headers: Vec<Param>,
    pub(crate) payload: Payload,
    pub(crate) answers: Vec<AnswerDoc>,
    pub(crate) refusals: Vec<Code>,
    /// Where what it made is used: the parameter that its `id` goes into, and the routes.
    pub(crate) links: (&'static str, &'static [&'static str]),
    pub(crate) handler: MethodRouter<App>,
}

const JSON: &str = "application/json";

/// The form of an id.
pub(crate) fn id_of(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")})
}

/// The form of a label in a filter.
pub(crate) fn label() -> Value {
    json!({"type": "string", "pattern": "[:=]"})
}

impl Route {
    fn new<H: Handler<T, App>, T: 'static>(
        method: (&'static str, MethodFilter),
        path: &'static str,
        (tag, name, what): (&'static str, &'static str, &'static str),
        handler: H,
    ) -> Self {
        Self {
            method: method.0,
            based: true,
            path,
            tag,
            name,
            what,
            params: Vec::new(),
            headers: Vec::new(),
            payload: Payload::Nothing,
            answers: Vec::new(),
            refusals: Vec::new(),
            links: ("", &[]),
            handler: on(method.1, handler),
        }
    }

    /// `GET`: the words are its group, its name and what it does.
    pub(crate) fn get<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        words: (&'static str, &'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("get", MethodFilter::GET), path, words, handler)
    }

    /// `POST`.
    pub(crate) fn post<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        words: (&'static str, &'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("post", MethodFilter::POST), path, words, handler)
    }

    /// `PATCH`.
    pub(crate) fn patch<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        words: (&'static str, &'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("patch", MethodFilter::PATCH), path, words, handler)
    }

    /// `DELETE`.
    pub(crate) fn delete<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        words: (&'static str, &'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("delete", MethodFilter::DELETE), path, words, handler)
    }

    /// It lies at the root, not under the base path.
    pub(crate) fn at_root(mut self) -> Self {
        self.based = false;
        self
    }

    /// Takes a parameter of text.
    pub(crate) fn text(self, name: &'static str, what: &'static str) -> Self {
        self.param(Param { name, what, schema: json!({"type": "string"}) })
    }

    /// Takes a parameter that is a number.
    pub(crate) fn number(self, name: &'static str, what: &'static str) -> Self {
        self.param(Param { name, what, schema: json!({"type": "integer", "minimum": 0}) })
    }

    /// Takes a parameter of this form.
    pub(crate) fn form(self, name: &'static str, schema: Value, what: &'static str) -> Self {
        self.param(Param { name, what, schema })
    }

    /// Takes `?limit=`.
    pub(crate) fn limit(self, max: usize, what: &'static str) -> Self {
        self.form("limit", json!({"type": "integer", "minimum": 1, "maximum": max}), what)
    }

    /// Takes a parameter that is true or false.
    pub(crate) fn flag(self, name: &'static str, what: &'static str) -> Self {
        self.param(Param { name, what, schema: json!({"type": "boolean"}) })
    }

    fn param(mut self, param: Param) -> Self {
        self.params.push(param);
        self
    }

    /// Takes `?wait=`.
    pub(crate) fn waits(self) -> Self {
        let schema = json!({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m)?$"});
        self.form("wait", schema, "How long to wait, such as `30s` or `500ms`; at most `60s`.")
    }

    /// Takes `?limit=` and `?cursor=`.
    pub(crate) fn paged(self) -> Self {
        self.limit(limits::PAGE_ITEMS, "Items on the page, at most 200; 50 when not given.")
            .text("cursor", "`next_cursor` of the page before.")
    }

    /// Takes a header.
    pub(crate) fn header(mut self, name: &'static str, what: &'static str) -> Self {
        self.headers.push(Param { name, what, schema: json!({"type": "string"}) });
        self
    }

    /// Takes the header with the lease token.
    pub(crate) fn lease(mut self) -> Self {
        self.headers.push(Param {
            name: LEASE_HEADER,
            what: "The lease token, as the claim gave it.",
            schema: json!({"type": "string", "pattern": LEASE_PATTERN}),
        });
        self
    }

    /// Takes a JSON body.
    pub(crate) fn body<T: JsonSchema>(mut self, example: &'static str) -> Self {
        self.payload =
            Payload::Json { schema: SchemaGenerator::subschema_for::<T>, optional: false, example };
        self
    }

    /// Takes a JSON body that may be left out.
    pub(crate) fn optional_body<T: JsonSchema>(mut self, example: &'static str) -> Self {
        self.payload = Payload::Json { schema: SchemaGenerator::subschema_for::<T>, optional: true, example };
        self
    }

    /// Takes bytes.
    pub(crate) fn raw_body(mut self) -> Self {
        self.payload = Payload::Raw;
        self
    }

    /// Gives JSON.
    pub(crate) fn gives<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        let schema: SchemaOf = SchemaGenerator::subschema_for::<T>;
        self.answers.push(AnswerDoc { status, media_type: JSON, schema: Some(schema), what });
        self
    }

    /// Gives something else.
    pub(crate) fn gives_raw(mut self, status: u16, media_type: &'static str, what: &'static str) -> Self {
        self.answers.push(AnswerDoc { status, media_type, schema: None, what });
        self
    }

    /// Gives no body.
    pub(crate) fn gives_nothing(self, status: u16, what: &'static str) -> Self {
        self.gives_raw(status, "", what)
    }

    /// Refuses with these codes, beside those that every route has.
    pub(crate) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// The `id` of what it gives is what these routes take as this parameter.
    pub(crate) fn leads_to(mut self, param: &'static str, routes: &'static [&'static str]) -> Self {
        self.links = (param, routes);
        self
    }

    /// The whole path.
    pub(crate) fn full_path(&self) -> String {
        if self.based { format!("{}{}", everloop_api::BASE, self.path) } else { self.path.to_owned() }
    }
}
