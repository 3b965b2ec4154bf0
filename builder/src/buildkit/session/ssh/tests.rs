use std::process::Command;

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::service::Routes;

use super::agent::AgentError;
use super::*;
use crate::buildkit::session::testing::connect;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_client::SshClient;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;

type Client = SshClient<tonic::transport::Channel>;

async fn client(sources: IndexMap<String, SshSource>) -> (Client, JoinSet<()>) {
    let routes = Routes::new(SshServer::new(SshService::new(sources)));
    let (channel, server) = connect(routes).await;
    (SshClient::new(channel), server)
}

/// Sends one message and returns all that comes back.
async fn ask(client: &mut Client, id: &'static str, question: &[u8]) -> Result<Vec<u8>, Status> {
    let (sender, receiver) = mpsc::channel(1);
    sender.send(BytesMessage { data: question.to_vec() }).await.unwrap();
    drop(sender);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert(SSH_ID, id.parse().unwrap());
    let mut stream = client.forward_agent(request).await?.into_inner();
    let mut answer = Vec::new();
    while let Some(message) = stream.message().await? {
        answer.extend(message.data);
    }
    Ok(answer)
}

#[tokio::test]
async fn bytes_go_to_the_agent_and_back_until_it_hangs_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = Vec::new();
        stream.read_to_end(&mut question).await.unwrap();
        question.reverse();
        stream.write_all(&question).await.unwrap();
    };
    let (mut client, _server) = client([("default".to_owned(), SshSource::Agent(socket))].into()).await;
    let (answer, ()) = tokio::join!(ask(&mut client, "", b"sign"), agent);
    assert_eq!(answer.unwrap(), b"ngis");
}

#[tokio::test]
async fn ids_that_were_not_given_are_not_found() {
    let (mut client, _server) = client([("default".to_owned(), SshSource::Agent("/nowhere".into()))].into()).await;
    let check = |id: &str| CheckAgentRequest { id: id.to_owned() };
    client.check_agent(check("")).await.unwrap();
    assert_eq!(client.check_agent(check("other")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask(&mut client, "other", b"").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask(&mut client, "default", b"").await.unwrap_err().code(), Code::Unavailable);
}

fn keygen(path: &Path, passphrase: &str) {
    let arguments = ["-q", "-t", "ed25519", "-C", "polyarch-test", "-N", passphrase, "-f"];
    assert!(Command::new("ssh-keygen").args(arguments).arg(path).status().unwrap().success());
}

#[tokio::test]
async fn key_files_are_offered_by_an_agent() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    keygen(&key, "");
    let (mut client, server) = client([("k".to_owned(), SshSource::Keys(vec![key]))].into()).await;
    // SSH2_AGENTC_REQUEST_IDENTITIES (draft-ietf-sshm-ssh-agent, section 3.2). OpenSSH's agent drops its answer if
    // the peer has closed its side by then, so the question's stream stays open.
    let (sender, receiver) = mpsc::channel(1);
    sender.send(BytesMessage { data: vec![0, 0, 0, 1, 11] }).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert(SSH_ID, "k".parse().unwrap());
    let mut stream = client.forward_agent(request).await.unwrap().into_inner();
    let mut answer = Vec::new();
    while answer.len() < 9 || !String::from_utf8_lossy(&answer).contains("polyarch-test") {
        answer.extend(stream.message().await.unwrap().expect("the agent answers").data);
    }
    assert_eq!((answer[4], &answer[5..9]), (12, &[0, 0, 0, 1][..]), "one identity");
    drop((sender, server));
}

#[tokio::test]
async fn an_agent_goes_with_its_owner() {
    let agent = KeyAgent::start(&[]).await.unwrap();
    let socket = agent.socket().to_owned();
    let mut connection = UnixStream::connect(&socket).await.unwrap();
    drop(agent);
    // Closed or, where the agent had not accepted it yet, reset.
    let read = connection.read(&mut [0]).await.or_else(|error| match error.kind() {
        std::io::ErrorKind::ConnectionReset => Ok(0),
        _ => Err(error),
    });
    assert_eq!(read.unwrap(), 0, "the process ended and its connections with it");
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_protected_or_absent_key_is_refused_without_asking() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    keygen(&key, "secret");
    for file in [key, dir.path().join("absent")] {
        let error = KeyAgent::start(std::slice::from_ref(&file)).await.unwrap_err();
        assert!(matches!(&error, AgentError::Refused { key, .. } if *key == file), "{error}");
    }
}
