//! A client by russh; README.md says what it does and prints.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{load_secret_key, PrivateKeyWithHashAlg};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CHANNELS: usize = 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Events;

impl client::Handler for Events {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        println!("{description}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, login, method, secret, target, action, number] = &words[..] else {
        return Err("seven words are needed".into());
    };
    let number: usize = number.parse()?;
    let (host, target_port) = target.rsplit_once(':').ok_or("no port")?;
    let target = (host.to_owned(), target_port.parse()?);
    let mut config = client::Config::default();
    if action == "idle" {
        config.keepalive_interval = Some(Duration::from_millis(100));
    }
    let address = ("127.0.0.1", port.parse()?);
    let mut session = client::connect(Arc::new(config), address, Events).await?;
    let result = if method == "key" {
        let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(secret, None)?), None);
        session.authenticate_publickey(login, key).await?
    } else {
        session.authenticate_password(login, secret).await?
    };
    if !result.success() {
        return Err("refused".into());
    }
    let session = Arc::new(session);
    match action.as_str() {
        "move" => println!("{}", exchange(&session, &target, number).await?),
        "many" => {
            let mut tasks = Vec::new();
            for _ in 0..CHANNELS {
                let (session, target) = (session.clone(), target.clone());
                tasks.push(tokio::spawn(async move {
                    chat(&session, &target, number).await
                }));
            }
            let mut answer = String::from("whole");
            for task in tasks {
                let result = task.await??;
                if result != "whole" {
                    answer = result;
                }
            }
            println!("{answer}");
        }
        "refused" => {
            if open(&session, &target).await.is_ok() {
                println!("it is open");
            }
        }
        "idle" => {
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            println!("{}", exchange(&session, &target, 1000).await?);
        }
        "close" => {
            let channel = open(&session, &target).await?;
            channel.data(&vec![0; number][..]).await?;
            channel.close().await?;
            println!("closed");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        _ => {
            let _channel = open(&session, &target).await?;
            println!("open");
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

async fn open(
    session: &Handle<Events>,
    target: &(String, u32),
) -> Result<Channel<client::Msg>, russh::Error> {
    session
        .channel_open_direct_tcpip(target.0.clone(), target.1, "127.0.0.1", 1)
        .await
}

/// Sends bytes, half-closes, and expects them back to the end.
async fn exchange(
    session: &Handle<Events>,
    target: &(String, u32),
    size: usize,
) -> Result<String, Failure> {
    let (mut reader, mut writer) = tokio::io::split(open(session, target).await?.into_stream());
    let payload: Vec<u8> = (0..size).map(|index| (index * 7919 >> 8) as u8).collect();
    let sent = payload.clone();
    let sender = tokio::spawn(async move {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await?;
    sender.await??;
    if received != payload {
        return Ok(format!("{} of {size} bytes", received.len()));
    }
    Ok("whole".to_owned())
}

/// Sends 1,000 bytes and awaits them back, many times.
async fn chat(
    session: &Handle<Events>,
    target: &(String, u32),
    rounds: usize,
) -> Result<String, Failure> {
    let mut stream = open(session, target).await?.into_stream();
    let mut answer = vec![0; 1000];
    for round in 0..rounds {
        let question = vec![round as u8; 1000];
        stream.write_all(&question).await?;
        stream.read_exact(&mut answer).await?;
        if question != answer {
            return Ok(format!("round {round}"));
        }
    }
    stream.shutdown().await?;
    let rest = stream.read(&mut answer).await?;
    Ok(if rest == 0 { "whole" } else { "more came" }.to_owned())
}
