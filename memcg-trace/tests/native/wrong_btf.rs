//! BTF of another kernel, or one that was tampered with.

use crate::support::{
    btf,
    cgroup::Cgroup,
    file::File,
    machine,
    process::{command, run},
};

/// More than a leaf of the table of csses has room for, so that there are nodes above.
const CGROUPS: usize = 130;

/// The walk ends: it used to read the same leaf again and again.
#[test]
fn a_table_that_is_none_is_not_walked_without_end() {
    let _machine = machine();
    let home = Cgroup::home("wrong-btf");
    let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|number| home.child(number.to_string())).collect();
    let moved = [
        // Onto `offset`, `count`, `nr_values` and `parent`.
        (1, "xa_node", "shift"),
        (2, "xa_node", "shift"),
        (3, "xa_node", "shift"),
        (8, "xa_node", "shift"),
        (8, "xa_node", "slots"),
        (4, "cgroup_subsys_state", "id"),
        (8, "cgroup_subsys", "css_idr"),
    ];
    for (bytes, owner, member) in moved {
        let file = File::with("wrong-btf", &btf::with_member_moved_by(bytes, owner, member));
        let output = run(command().args(["scan", "-o", "json", "--btf"]).arg(&file.0));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{owner}.{member} {bytes} bytes later: {said}");
    }
    drop(cgroups);
}

/// They are not read to find our own cgroup, and were believed: a false "dying 0", wrong charges and IDs.
#[test]
fn members_that_are_elsewhere_are_not_believed() {
    let _machine = machine();
    let home = Cgroup::home("wrong-btf");
    let _cgroups: Vec<Cgroup> = (0..CGROUPS).map(|number| home.child(number.to_string())).collect();
    let moved = [
        (8, "cgroup_subsys_state", "flags"),
        (8, "cgroup_subsys_state", "serial_nr"),
        (8, "mem_cgroup", "id"),
        (4, "cgroup", "level"),
        (8, "page_counter", "usage"),
    ];
    for (bytes, owner, member) in moved {
        let file = File::with("wrong-btf", &btf::with_member_moved_by(bytes, owner, member));
        let output = run(command().args(["scan", "-o", "json", "--btf"]).arg(&file.0));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{owner}.{member}: {said}");
        assert!(said.contains("does not describe this kernel"), "{owner}.{member}: {said}");
    }
    let file = File::with("own-btf", &btf::own());
    let output = run(command().args(["scan", "-o", "json", "--btf"]).arg(&file.0));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
