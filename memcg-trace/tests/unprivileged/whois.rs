//! `whois` as a program: several questions, text and JSON, and no answer.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::compare::{ID, UID};

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
         /user.slice\n  no container or pod in the path\n  unit       user.slice (from the path)\n  \
         slice      user.slice (from the path)\n"
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
    let cgroups = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
    let path = answer["path"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{path}"))), "{path} is none of:\n{cgroups}");
    assert_eq!(answer["path_source"], "proc");
}

/// Files of a node, below a directory that goes with the test.
struct Node(PathBuf);

impl Node {
    fn with(files: &[(&str, &str)]) -> Self {
        let node = Self(std::env::temp_dir().join(format!("memcg-trace-whois-{}", std::process::id())));
        for (file, content) in files {
            let file = node.0.join(file.replace("{id}", ID).replace("{uid}", UID));
            fs::create_dir_all(file.parent().expect("a directory above")).expect("a directory");
            fs::write(file, content.replace("{id}", ID).replace("{uid}", UID)).expect("a file");
        }
        node
    }

    fn whois(&self, path: &str) -> Value {
        let path = path.replace("{id}", ID).replace("{uid}", UID).replace("{uid_}", &UID.replace('-', "_"));
        let root = self.0.to_str().expect("a path in ASCII");
        let output = whois(&["-o", "json", "--host-root", root, &path], b"");
        serde_json::from_slice::<Value>(&output.stdout).expect("one object")["container"].clone()
    }
}

/// A user whom this process can give files to: any other one as root, itself as nobody else.
fn somebody() -> u32 {
    match nix::unistd::geteuid() {
        root if root.is_root() => 1000,
        user => user.as_raw(),
    }
}

/// Gives away what is there, from the home down.
fn chown(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), None).expect("a file of ours");
    for entry in fs::read_dir(path).into_iter().flatten() {
        chown(&entry.expect("a directory can be read").path(), uid);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_the_node_remembers() {
    let uid = somebody();
    const STORAGE: &str = ".local/share/containers/storage/overlay-containers/containers.json";
    let node = Node::with(&[
        // kubelet, of a pod that is gone, and of one without logs.
        ("var/log/pods/prod_web-0_{uid}/nginx/0.log", ""),
        ("var/log/containers/web-0_prod_nginx-{id}.log", ""),
        (
            "var/lib/kubelet/pods/9729a196c4723b60ab401eaff722982d/volumes/kubernetes.io~projected/\
             kube-api-access-x7kzq/namespace",
            "kube-system",
        ),
        // podman of a user.
        ("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\nann:x:{uid}:{uid}::/home/ann:/bin/sh\n")),
        (
            &format!("home/ann/{STORAGE}"),
            r#"[{"id":"{id}","names":["shop"],"metadata":"{\"image-name\":\"localhost/shop:1\"}"}]"#,
        ),
        // docker, with its data elsewhere behind an absolute link.
        ("data/docker/containers/{id}/config.v2.json", r#"{"Name":"/db","Config":{"Image":"mariadb:11"}}"#),
    ]);
    symlink("/data/docker", node.0.join("var/lib/docker")).expect("a link");
    // A home that is not its user's is not read.
    chown(&node.0.join("home/ann"), uid);
    let of_user = |scope: &str| {
        node.whois(&format!("/user.slice/user-{uid}.slice/user@{uid}.service/user.slice/{scope}"))
    };

    let container = node.whois("/kubepods/burstable/pod{uid}/crio-{id}");
    let names = ["namespace", "pod", "name"].map(|fact| container[fact].as_str());
    assert_eq!(names, [Some("prod"), Some("web-0"), Some("nginx")], "{container}");
    assert_eq!(container["learned"]["pod"], "kubelet");
    let pod = node.whois("/kubepods/burstable/pod{uid}");
    assert_eq!((&pod["pod"], &pod["name"]), (&json!("web-0"), &Value::Null), "{pod}");
    let pod = node.whois("/kubepods/pod9729a196c4723b60ab401eaff722982d");
    assert_eq!((&pod["namespace"], &pod["pod"]), (&json!("kube-system"), &Value::Null), "{pod}");

    let rootless = of_user("libpod-{id}.scope");
    assert_eq!((&rootless["name"], &rootless["image"]), (&json!("shop"), &json!("localhost/shop:1")));

    let monitor = of_user("libpod-conmon-{id}.scope");
    let facts = ["id", "of_id", "role", "name", "image"].map(|fact| monitor[fact].as_str());
    assert_eq!(facts, [None, Some(ID), Some("monitor"), Some("shop"), None], "{monitor}");

    let root = node.0.to_str().expect("a path in ASCII");
    let text = whois(&["--host-root", root, &format!("/system.slice/docker-{ID}.scope")], b"");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("\n  image      mariadb:11 (from docker's config.v2.json)\n"), "{text}");
    let docker = node.whois("/system.slice/docker-{id}.scope");
    assert_eq!((&docker["name"], &docker["image"]), (&json!("db"), &json!("mariadb:11")), "{docker}");
    assert_eq!(docker["learned"]["image"], "docker-config");
    let inner = node.whois("/docker/{id}/kubepods/pod{uid}");
    assert_eq!((&inner["pod"], &inner["outer"]["name"]), (&json!("web-0"), &json!("db")), "{inner}");
}
