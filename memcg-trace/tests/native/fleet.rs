//! From a leak to a notice, with the real parts: serve, Prometheus with our rules, Alertmanager with our example, and a webhook.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    eventually, evict_stocks,
    exporter::Exporter,
    kubelet::Pod,
    machine,
    web::{Webhook, get},
};

/// Twice this is more than the alert tolerates. It wants to see them grow, too.
const LEAKS: usize = 30;

fn deploy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// A part of the fleet; killed at the end of the test.
struct Part(Child);

impl Part {
    fn start(directory: &Path, program: &str, arguments: &[String]) -> Self {
        let log = fs::File::create(directory.join(program)).expect("a log");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("run {program}: {error}")))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory for files of the fleet; removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("memcg-trace-test-fleet-{}", process::id()));
        fs::create_dir_all(&directory).expect("mkdir");
        Self(directory)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("write a file");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A free port of this machine; somebody else might take it, but who would.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Prometheus and Alertmanager, as deploy/ configures them but for their patience.
struct Fleet {
    _parts: [Part; 2],
    prometheus: String,
}

impl Fleet {
    fn start(directory: &Directory, exporter: &str, webhook: &str) -> Self {
        let rules = ["1h", "30m", "15m", "5m"].iter().fold(deploy("prometheus/rules.yaml"), |rules, time| {
            rules.replace(&format!("for: {time}"), "for: 0s")
        });
        directory.write("rules.yaml", &rules);
        let alertmanager = deploy("prometheus/alertmanager.yaml").replace("http://127.0.0.1:9095/", webhook);
        let alertmanager = alertmanager.replace("group_wait: 30s", "group_wait: 1s");
        directory
            .write("alertmanager.yaml", &alertmanager.replace("group_interval: 5m", "group_interval: 1s"));
        let (prometheus, alerts) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{}", port()));
        directory.write(
            "prometheus.yaml",
            &format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [rules.yaml]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alerts}']}}]}}]}}\n\
                 scrape_configs:\n\
                 - {{job_name: memcg-trace, honor_labels: true, static_configs: [{{targets: ['{exporter}']}}]}}\n"
            ),
        );
        let arguments = [
            format!("--config.file={}", directory.path("prometheus.yaml")),
            format!("--storage.tsdb.path={}", directory.path("tsdb")),
            format!("--web.listen-address={prometheus}"),
            "--enable-feature=exemplar-storage".to_owned(),
        ];
        let scraper = Part::start(&directory.0, "prometheus", &arguments);
        let arguments = [
            format!("--config.file={}", directory.path("alertmanager.yaml")),
            format!("--storage.path={}", directory.path("alerts")),
            format!("--web.listen-address={alerts}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let notifier = Part::start(&directory.0, "prometheus-alertmanager", &arguments);
        Self { _parts: [scraper, notifier], prometheus }
    }

    /// Results of a query; `Err`: there are none, or no Prometheus yet.
    fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = get(&self.prometheus, "/api/v1/query", &[("query", query)])?;
        match answer["data"]["result"].as_array() {
            Some(results) if !results.is_empty() => Ok(results.clone()),
            _ => Err(format!("{query}: {answer}")),
        }
    }
}

/// Queries of a dashboard, for this instance.
fn queries(dashboard: &str, instance: &str) -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&deploy(dashboard)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("a query").replace("$instance", instance)).collect()
}

#[test]
fn a_leaking_pod_is_told_to_the_one_on_call() {
    let _machine = machine();
    let directory = Directory::new();
    let pod = Pod::new();
    let exporter = Exporter::start(&["--grace", "1s", "--refresh", "2s", "--host-root", pod.host_root()]);
    let webhook = Webhook::start();
    let fleet = Fleet::start(&directory, exporter.address(), &webhook.url());
    // The counters are there before anything happens: otherwise nothing increased.
    eventually("Prometheus to scrape", || fleet.query("memcg_trace_leaks_total"));

    let few = pod.leak(0..LEAKS);
    let series = "memcg_trace_workload_leaked_memcgs{workload='backup'}";
    eventually("Prometheus to have the first leaks", || fleet.query(&format!("{series} >= {LEAKS}")));
    // The rule names the pins of the instant at which it fires.
    let pinned = format!("memcg_trace_pinned_memcgs{{pin='tmpfs'}} >= {LEAKS}");
    eventually("Prometheus to know what pins them", || fleet.query(&pinned));
    let more = pod.leak(LEAKS..2 * LEAKS);
    let alert = eventually("the alert", || {
        webhook
            .alerts()
            .into_iter()
            .find(|alert| is_about(alert, "firing"))
            .ok_or_else(|| format!("{:#?}", webhook.alerts()))
    });
    let labels = &alert["labels"];
    assert_eq!(
        (&labels["namespace"], &labels["workload"], &labels["kind"]),
        (&"prod".into(), &"backup".into(), &"pod".into()),
        "{alert:#}"
    );
    assert_eq!(labels["instance"], exporter.address(), "{alert:#}");
    let description = alert["annotations"]["description"].as_str().expect("a description");
    assert!(description.contains("pod prod/backup") && description.contains("tmpfs ("), "{description}");

    // Everything that the dashboards ask has an answer.
    for query in
        ["grafana/fleet.json", "grafana/node.json"].iter().flat_map(|file| queries(file, exporter.address()))
    {
        eventually("data for a dashboard", || fleet.query(&query));
    }

    drop((few, more));
    eventually("the alert to resolve", || {
        evict_stocks();
        webhook
            .alerts()
            .into_iter()
            .find(|alert| is_about(alert, "resolved"))
            .ok_or_else(|| format!("{:#?}", webhook.alerts()))
    });
    drop(pod);
    assert_eq!(exporter.stop(), Some(0));
}

fn is_about(alert: &Value, status: &str) -> bool {
    alert["labels"]["alertname"] == "MemcgWorkloadLeaks" && alert["status"] == status
}
