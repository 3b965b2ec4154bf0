//! Questions to the frontend instead of a build: `--call`, `--check`.
//!
//! Owns: BuildKit's gateway, through which a frontend's answer comes back (BuildKit `frontend/subrequests`,
//! `client/build.go`): a solve without a frontend registers a build, and the gateway's own solve runs the frontend
//! in it. Never: understands an answer.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::v1 as proto;
use bollard_buildkit_proto::moby::buildkit::v1::frontend as gateway;
use futures::future::{Either, select};
use gateway::llb_bridge_client::LlbBridgeClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use super::connect::Worker;
use super::error::SolveError;
use super::session::Session;
use super::solve::frontend;
use super::status::StatusMapper;
use crate::event_sink::EventSink;

/// Metadata key that names the build of a gateway call.
const BUILD_ID: &str = "buildkit-controlapi-buildid";
/// Makes frontends that know no subrequests refuse, instead of building.
const CAPABILITIES: &str = "moby.buildkit.frontend.subrequests+forward";

/// A question.
#[derive(Debug, Clone)]
pub struct CallSpec {
    /// Unique name of this call on the daemon; see [`super::solve::new_ref`].
    pub reference: String,
    /// From [`super::attrs::frontend_attrs`].
    pub frontend_attrs: BTreeMap<String, String>,
    /// What is asked: `lint`, `outline`, `targets` or `subrequests.describe`.
    pub method: String,
}

/// A frontend's answer; all of it is untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallAnswer {
    /// `result.txt`: for people.
    pub text: Option<String>,
    /// `result.json`.
    pub json: Option<String>,
    /// `result.statuscode`: not 0 if the answer is a bad one, such as lint warnings.
    pub status: Option<u32>,
}

impl Worker {
    /// Asks the frontend. Dropping the future cancels the call.
    ///
    /// # Errors
    /// [`SolveError`]; `Unsupported` if the frontend does not know the question.
    pub async fn call(&self, session: &Session, spec: CallSpec, events: &EventSink) -> Result<CallAnswer, SolveError> {
        let mut mapper = StatusMapper::default();
        let build = proto::SolveRequest {
            r#ref: spec.reference.clone(),
            session: session.id().to_owned(),
            internal: true,
            ..proto::SolveRequest::default()
        };
        let reference = spec.reference.clone();
        let build = self.solve_with_status(session, build, &reference, |message| {
            mapper.apply(message).into_iter().for_each(|kind| events.send(kind));
            !mapper.is_empty()
        });
        let question = self.ask(spec);
        tokio::pin!(build, question);
        match select(question, build).await {
            // An error ends the build with it: the build is dropped.
            Either::Left((answer, build)) => {
                let answer = answer?;
                build.await?;
                Ok(answer)
            }
            Either::Right((build, question)) => {
                build?;
                question.await
            }
        }
    }

    async fn ask(&self, spec: CallSpec) -> Result<CallAnswer, SolveError> {
        let failed = |status: tonic::Status| SolveError::from_status(&status);
        let build_id = MetadataValue::<Ascii>::try_from(&spec.reference);
        let build_id = build_id.map_err(|_| SolveError::BadAnswer { key: "build id" })?;
        let limit = self.limits().grpc_message_bytes;
        let identify = move |mut request: Request<()>| {
            request.metadata_mut().insert(BUILD_ID, build_id.clone());
            Ok(request)
        };
        let mut bridge = LlbBridgeClient::with_interceptor(self.channel(), identify).max_decoding_message_size(limit);
        bridge.ping(gateway::PingRequest {}).await.map_err(failed)?;
        let answer = bridge.solve(question(spec)).await.map_err(failed)?.into_inner();
        let finish = gateway::ReturnRequest { result: Some(gateway::Result::default()), error: None };
        bridge.r#return(finish).await.map_err(failed)?;
        Ok(understand(answer.result.unwrap_or_default().metadata))
    }
}

fn question(spec: CallSpec) -> gateway::SolveRequest {
    let frontend = frontend(&spec.frontend_attrs).to_owned();
    let mut options: std::collections::HashMap<_, _> = spec.frontend_attrs.into_iter().collect();
    options.insert("requestid".into(), format!("frontend.{}", spec.method));
    options.insert("frontend.caps".into(), CAPABILITIES.into());
    gateway::SolveRequest {
        frontend,
        frontend_opt: options,
        allow_result_return: true,
        allow_result_array_ref: true,
        ..gateway::SolveRequest::default()
    }
}

fn understand(mut metadata: std::collections::HashMap<String, Vec<u8>>) -> CallAnswer {
    let mut take = |key: &str| metadata.remove(key).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    CallAnswer {
        text: take("result.txt"),
        json: take("result.json"),
        status: take("result.statuscode").and_then(|code| code.trim().parse().ok()),
    }
}
