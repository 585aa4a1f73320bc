//! What a task gave, said and proves, as resources: `everloop://tasks/{task_id}/result`, `/log`, `/receipt`.

use super::answer::untrusted;
use super::handler::Asked;
use crate::views;
use everloop_control::lists::Paging;
use everloop_control::{Order, TaskFilter};
use everloop_types::error::Refusal;
use everloop_types::event::{EventBody, TypeFilter};
use everloop_types::id::TaskId;
use everloop_types::limits;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};

const SCHEME: &str = "everloop://tasks/";
/// Bytes of a log that are given; what is beyond is read with `stream_task`.
const LOG_BYTES: usize = 1024 * 1024;

/// What there is of a task: the end of its address, its media type, what it is.
const PARTS: [(&str, &str, &str); 3] = [
    ("result", "application/json", "What the task gave"),
    ("log", "text/plain", "What the task printed and logged"),
    ("receipt", "application/json", "The signed receipt of the task"),
];

/// The addresses.
pub(super) fn templates() -> ListResourceTemplatesResult {
    let template = |(part, media_type, about): &(&str, &str, &str)| {
        ResourceTemplate::new(format!("{SCHEME}{{task_id}}/{part}"), format!("task_{part}"))
            .with_description(*about)
            .with_mime_type(*media_type)
    };
    ListResourceTemplatesResult::with_all_items(PARTS.iter().map(template).collect())
}

/// A page of the tasks that have ended, newest first.
///
/// # Errors
/// If the cursor belongs to another list.
pub(super) async fn list(asked: &Asked, cursor: Option<String>) -> Result<ListResourcesResult, Refusal> {
    let ended = everloop_types::state::State::ALL.iter().copied().filter(|state| state.is_terminal());
    let filter = TaskFilter { states: ended.collect(), ..TaskFilter::default() };
    let paging = Paging { limit: Some(20), cursor };
    let page = asked.control.list(&asked.caller, filter, Order::Newest, paging).await?;
    let mut resources = Vec::new();
    for shown in &page.items {
        let task = shown.task();
        let title = task.spec.title.as_ref().or(task.spec.key.as_ref()).unwrap_or(&task.spec.kind);
        for (part, media_type, about) in PARTS {
            resources.push(
                Resource::new(format!("{SCHEME}{}/{part}", task.id), format!("{}/{part}", task.id))
                    .with_title(format!("{title}: {part}"))
                    .with_description(about)
                    .with_mime_type(media_type),
            );
        }
    }
    let mut listed = ListResourcesResult::with_all_items(resources);
    listed.next_cursor = page.next_cursor;
    Ok(listed)
}

/// Reads one.
///
/// # Errors
/// `not_found`; `not_finished` for what only a finished task has.
pub(super) async fn read(asked: &Asked, uri: &str) -> Result<ReadResourceResult, Refusal> {
    let nothing = || {
        let shown: String = uri.chars().take(200).collect();
        Refusal::not_found(format!("resource {shown:?}"))
            .hint("resources/templates/list names the addresses that there are")
    };
    let (task, part) = uri.strip_prefix(SCHEME).and_then(|rest| rest.rsplit_once('/')).ok_or_else(nothing)?;
    let (_, media_type, _) = PARTS.iter().find(|(name, ..)| *name == part).ok_or_else(nothing)?;
    let id: TaskId = task.parse().map_err(|_| nothing())?;
    let (control, caller) = (&asked.control, &asked.caller);
    let text = match part {
        "result" => {
            let (shown, end) = control.output(caller, id).await?;
            serde_json::to_string(&views::output(&shown, end)).unwrap_or_default()
        }
        "receipt" => {
            serde_json::to_string(&views::receipt(control.receipt(caller, id).await?)).unwrap_or_default()
        }
        _ => log(asked, id).await?,
    };
    let contents = ResourceContents::text(text, uri).with_mime_type(*media_type).with_meta(untrusted());
    Ok(ReadResourceResult::new(vec![contents]))
}

async fn log(asked: &Asked, id: TaskId) -> Result<String, Refusal> {
    let types = TypeFilter { exact: vec!["log".to_owned()], prefixes: Vec::new() };
    let (mut text, mut after) = (String::new(), 0);
    loop {
        let page =
            asked.control.events(&asked.caller, id, after, types.clone(), Some(limits::PAGE_EVENTS)).await?;
        for event in &page.items {
            if let Ok(Some(EventBody::Log(log))) = event.body() {
                match (log.text, log.base64) {
                    (Some(line), _) => text.push_str(&line),
                    (None, Some(bytes)) => text.push_str(&format!("[base64 {bytes}]\n")),
                    (None, None) => {}
                }
            }
            if text.len() > LOG_BYTES {
                text.push_str(&format!(
                    "\n[cut after event {}: go on with stream_task, types [\"log\"]]\n",
                    event.seq
                ));
                return Ok(text);
            }
        }
        if page.next_after <= after || page.next_after >= page.last_seq {
            return Ok(text);
        }
        after = page.next_after;
    }
}
