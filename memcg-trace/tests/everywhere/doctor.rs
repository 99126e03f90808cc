//! `doctor` judges by persistently dying memcgs, and continues after a no.

use crate::support::{
    cgroup::Cgroup, doctor::Doctor, eventually, machine, pins::unreaped_task, process::command,
    sandbox::hiding,
};

#[test]
fn zombies_make_a_node_sick() {
    let _machine = machine();
    let home = Cgroup::home("doctor");
    let zombie = home.child("zombie");
    let task = unreaped_task(&zombie);
    zombie.remove();
    let doctor = eventually("the zombie to stay", || {
        let doctor = Doctor::run(&["--max-dying", "1", "--watch", "0s"]);
        let kept = doctor.summary["node"]["pins"]["reference"].as_u64();
        if kept >= Some(1) {
            return Ok(doctor);
        }
        // Release other pins than the task: pages of a library that was not cached.
        home.reclaim();
        Err(doctor.summary.to_string())
    });
    assert_eq!((doctor.code, doctor.severity("dying")), (Some(3), "sick"));
    assert!(doctor.remedies().contains(&"reap"), "{:?}", doctor.remedies());
    drop(task);
}

#[test]
fn goes_on_without_type_information() {
    let _machine = machine();
    let mut command = command();
    hiding(command.args(["doctor", "-o", "json", "--self-test", "--watch", "0s"]), &[c"/sys/kernel/btf"]);
    let doctor = Doctor::of(&mut command);
    assert_eq!(doctor.ability("type information (BTF)").0, "no");
    assert!(
        doctor.next_step("memcg-trace scan").contains("--btf FILE"),
        "{}",
        doctor.next_step("memcg-trace scan")
    );
    assert_eq!(doctor.ability("walk by program").0, "unknown");
    assert_eq!(doctor.ability("tracepoint backend").0, "no", "they do not tell which memcg they are about");
    assert_eq!(doctor.ability("self-test").0, "unknown");
    assert_eq!(doctor.code, Some(4));
}
