//! `whois` as a program: several questions, text and JSON, and no answer.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const ID: &str = "17db96a24ae1e9f0c2b3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819";
const UID: &str = "6a4ce4a0-ba47-11ea-b2a7-0cc47ac5979e";

fn whois(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memcg-trace"));
    command.arg("whois").args(arguments).env_remove("RUST_LOG");
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().expect("run memcg-trace");
    child.stdin.take().expect("its input").write_all(input).expect("write to memcg-trace");
    child.wait_with_output().expect("wait for memcg-trace")
}

#[test]
fn each_fact_with_its_source() {
    let pod = format!("/kubepods/burstable/pod{UID}/{ID}");
    let output = whois(&[&pod, "/user.slice"], b"");
    let expected = format!(
        "{pod}\n  container  {ID} (from the path)\n  pod UID    {UID} (from the path)\n  \
         driver     cgroupfs (from the path)\n  QoS class  burstable (from the path)\n\
         /user.slice\n  no container or pod: the path proves none\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn one_question_without_an_answer() {
    let input = format!("/docker/{ID}\n\nnonsense\n/a\x1b[2J\n");
    let output = whois(&["-o", "json", "-"], input.as_bytes());
    let lines: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("one object a line");
    let [docker, nonsense, hostile] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&docker["schema"], &docker["type"]), (&json!(1), &json!("whois")));
    assert_eq!((&docker["container"]["id"], &docker["container"]["runtime"]), (&json!(ID), &json!("docker")));
    assert_eq!((&docker["path_source"], &docker["error"]), (&json!("given"), &Value::Null));
    assert_eq!((&nonsense["path"], &nonsense["container"]), (&Value::Null, &Value::Null));
    assert!(nonsense["error"].is_string(), "{nonsense}");
    assert_eq!((&hostile["path"], &hostile["container"]), (&json!("/a\x1b[2J"), &Value::Null));
    assert_eq!(output.status.code(), Some(1), "one of them has no answer");
}

#[test]
fn text_keeps_names_from_the_terminal() {
    let output = whois(&["/a\x1b[2J"], b"");
    assert!(!output.stdout.contains(&0x1b), "{:?}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_process() {
    let pid = std::process::id().to_string();
    let output = whois(&["-o", "json", &pid], b"");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
    let path = answer["path"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{path}"))), "{path} is none of:\n{cgroups}");
    assert_eq!(answer["path_source"], "proc");
}
