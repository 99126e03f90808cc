//! Events about slab caches, as the hooks would emit them.

use super::*;

/// An event being made up.
#[derive(Clone)]
pub struct Fired {
    pub raw: RawSlabEvent,
    caller: Option<Symbol>,
}

pub fn fired(hook: SlabHook) -> Fired {
    let mut raw = RawSlabEvent::new_zeroed();
    raw.header.hook = hook as u16;
    raw.header.pid = 7;
    Fired { raw, caller: None }
}

fn put(text: &str, place: &mut [u8]) {
    place[..text.len()].copy_from_slice(text.as_bytes());
}

impl Fired {
    pub fn cache(mut self, address: u64, name: &str) -> Self {
        self.raw.header.cache = address;
        self.raw.header.known |= SlabField::CACHE | SlabField::NAME;
        put(name, &mut self.raw.name);
        self
    }

    pub fn asked(mut self, name: &str) -> Self {
        self.raw.header.known |= SlabField::ASKED;
        put(name, &mut self.raw.asked);
        self
    }

    pub fn refs(mut self, refcount: i32) -> Self {
        self.raw.header.refcount = refcount;
        self.raw.header.known |= SlabField::REFCOUNT;
        self
    }

    pub fn made(mut self) -> Self {
        self.raw.header.known |= SlabField::NEW;
        self
    }

    pub fn module(mut self, module: &str) -> Self {
        self.raw.header.known |= SlabField::MODULE;
        put(module, &mut self.raw.module);
        self
    }

    pub fn by(mut self, function: &str, module: Option<&str>) -> Self {
        let module = module.map(|module| module.as_bytes().into());
        self.caller = Some(Symbol { function: function.as_bytes().into(), offset: 0x10, module });
        self
    }

    pub fn pid(mut self, pid: u32) -> Self {
        self.raw.header.pid = pid;
        self
    }

    pub fn memcg(mut self, serial: u64) -> Self {
        (self.raw.header.memcg, self.raw.header.memcg_serial) = (0x1000 * serial, serial);
        self.raw.header.known |= SlabField::MEMCG | SlabField::SERIAL;
        self
    }

    pub fn copy_of(mut self, root: u64) -> Self {
        self.raw.header.root = root;
        self.raw.header.known |= SlabField::ROOT;
        self
    }

    pub fn at(mut self, ms: u64) -> SlabRecord {
        self.raw.header.t_ns = ms * MS;
        let mut event = SlabEvent::new(self.raw).unwrap();
        event.caller = self.caller;
        SlabRecord::Event(event)
    }
}

pub fn create(address: u64, name: &str) -> Fired {
    fired(SlabHook::Create).cache(address, name).asked(name).refs(1).made()
}

/// A cache that exists is given out under another name.
pub fn alias(address: u64, name: &str, asked: &str, refs: i32) -> Fired {
    fired(SlabHook::Create).cache(address, name).asked(asked).refs(refs)
}

pub fn destroy(address: u64, name: &str, refs: i32) -> Fired {
    fired(SlabHook::Destroy).cache(address, name).refs(refs)
}

pub fn release(address: u64, name: &str) -> Fired {
    fired(SlabHook::Release).cache(address, name)
}

pub fn memcg_copy(address: u64, name: &str, memcg: u64, root: u64) -> Fired {
    fired(SlabHook::MemcgCreate).cache(address, name).refs(1).made().memcg(memcg).copy_of(root)
}

pub fn offline(memcg: u64) -> Fired {
    fired(SlabHook::MemcgOffline).memcg(memcg)
}

pub fn module_free(module: &str, pid: u32) -> Fired {
    fired(SlabHook::ModuleFree).module(module).pid(pid)
}

pub fn listed(dir: &str, name: &str, links: &[&str]) -> ListedCache {
    let links = links.iter().map(|link| link.as_bytes().into()).collect();
    ListedCache { dir: dir.as_bytes().into(), name: name.as_bytes().into(), links, ..ListedCache::default() }
}

pub fn listing(ms: u64, caches: &[ListedCache]) -> SlabRecord {
    let ns = ms * MS;
    SlabRecord::Walk(Listing { began_ns: ns, ended_ns: ns, caches: caches.to_vec(), stale_links: 0 })
}
