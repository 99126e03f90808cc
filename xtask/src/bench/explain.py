# What pins dying memcgs, by the helpers of drgn: folios by file with its path and who has it open, and css_sets with their
# tasks. Prints `figure drgn MICROSECONDS` for each round, and at last the references and those that it can name.
import sys
import time
from collections import Counter, defaultdict

from drgn import FaultError, Object, Program, cast
from drgn.helpers.linux.cgroup import css_for_each_descendant_pre
from drgn.helpers.linux.fs import for_each_file, inode_path
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.nodemask import for_each_online_node
from drgn.helpers.linux.pid import for_each_task

CSS_ONLINE = 1 << 1
# The fifth is of unevictable pages, whose counts of mlocks overlay it.
LISTS = 4


def folios(prog, memcg):
    """Number of folios by the address of their inode; 0: anonymous memory."""
    by_inode = Counter()
    for node in for_each_online_node(prog):
        lists = memcg.nodeinfo[node].lruvec.lists
        for number in range(LISTS):
            for page in list_for_each_entry("struct page", lists[number].address_of_(), "lru"):
                mapping = page.mapping
                of_file = mapping and not mapping.value_() & 3
                by_inode[mapping.host.value_() if of_file else 0] += 1
    return by_inode


def explain(prog):
    """References of dying memcgs, and for each of their pins: references, thing, holders."""
    descriptors, tasks = defaultdict(list), defaultdict(list)
    for task in for_each_task(prog):
        process = task.tgid.value_(), task.comm.string_()
        tasks[task.cgroups.value_()].append(process)
        try:
            for fd, file in for_each_file(task):
                descriptors[file.f_inode.value_()].append((process, fd))
        except FaultError:
            # It has ended meanwhile.
            pass
    memory = prog.constant("memory_cgrp_id").value_()
    references, pins = 0, []
    for css in css_for_each_descendant_pre(prog["root_mem_cgroup"].css.address_of_()):
        if css.flags & CSS_ONLINE:
            continue
        references += css.refcnt.data.count.counter.value_()
        for inode, count in folios(prog, cast("struct mem_cgroup *", css)).items():
            path = inode_path(Object(prog, "struct inode *", inode)) if inode else None
            pins.append((count, path, descriptors.get(inode, [])))
        css_sets = css.cgroup.e_csets[memory].address_of_()
        for css_set in list_for_each_entry("struct css_set", css_sets, f"e_cset_node[{memory}]"):
            if css_set.subsys[memory] == css:
                pins.append((1, None, tasks[css_set.value_()]))
    return references, pins


def main(vmlinux, rounds):
    prog = Program()
    prog.set_kernel()
    prog.load_debug_info([vmlinux])
    for _ in range(rounds):
        start = time.monotonic()
        references, pins = explain(prog)
        print(f"figure drgn {(time.monotonic() - start) * 1e6:.0f}", flush=True)
    named = sum(count for count, path, holders in pins if path or holders)
    print(f"figure drgn-references {references}")
    print(f"figure drgn-named {named}")


main(sys.argv[1], int(sys.argv[2]))
