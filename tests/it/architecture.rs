//! Which module imports which: the drawing in `tests/arrows.txt` and the rules that it must keep.
//!
//! A file is a module. Its arrows are read from its `use` items and paths; where a parent re-exports a name of its
//! child, the arrow leads to the child. `mod` items and re-exports of children are no arrows, and code under
//! `#[cfg(test)]` has none.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Item, UseTree, visit::Visit};

type Module = Vec<String>;

/// Top-level modules ("rooms"), and those that each may import. `ARCHITECTURE.md` shows the same.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("wakeup", &[]),
    ("lifecycle", &[]),
    ("provider", &["domain"]),
    ("outbound", &["domain"]),
    ("store", &["domain", "wakeup"]),
    ("config", &["domain", "provider", "store"]),
    ("telemetry", &["config"]),
    ("service", &["config", "domain", "provider", "store", "wakeup"]),
    ("worker", &["domain", "outbound", "service", "store"]),
    ("simulator", &["domain", "outbound", "provider", "service", "store"]),
    ("http", &["domain", "outbound", "provider", "service", "simulator", "store"]),
];

/// Libraries that one room alone may name.
const OWN_LIBRARIES: &[(&str, &str)] =
    &[("sea_orm", "store"), ("poem", "http"), ("poem_openapi", "http"), ("reqwest", "outbound")];

const DRAWING: &str = "tests/arrows.txt";

/// What a file says about modules.
#[derive(Default)]
struct Source {
    /// Names that it passes on, with where they come from.
    re_exports: BTreeMap<String, Vec<String>>,
    /// Paths that it names, with the module that they are relative to.
    paths: Vec<(Module, Vec<String>)>,
    children: BTreeSet<String>,
}

struct Reader<'a> {
    source: &'a mut Source,
    /// The module that is read: that of the file, or one inside of it.
    at: Module,
    file: Module,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let of_test = |attribute: &syn::Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(of_test)
}

/// Every path of a `use` item, with the name that it gets here.
fn flatten(tree: &UseTree, prefix: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((prefix.to_vec(), prefix.last().cloned().unwrap_or_default()));
        }
        UseTree::Name(name) => found.push((with(&name.ident), name.ident.to_string())),
        UseTree::Rename(renamed) => found.push((with(&renamed.ident), renamed.rename.to_string())),
        UseTree::Glob(_) => found.push((prefix.to_vec(), "*".to_owned())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, found)),
    }
}

impl Reader<'_> {
    fn names(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.source.paths.push((self.at.clone(), path));
        }
    }

    /// Paths inside of a macro's braces are plain tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.names(std::mem::replace(&mut path, vec![ident.to_string()]));
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.names(std::mem::take(&mut path));
                    let first = group.stream().into_iter().next();
                    // `pub(in crate::x)` imports nothing.
                    if !matches!(first, Some(TokenTree::Ident(ident)) if ident == "in") {
                        self.tokens(group.stream());
                    }
                }
                _ => self.names(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.names(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Mod(module) => match &module.content {
                Some((_, items)) => {
                    self.at.push(module.ident.to_string());
                    items.iter().for_each(|item| self.visit_item(item));
                    self.at.pop();
                }
                None => {
                    self.source.children.insert(module.ident.to_string());
                }
            },
            Item::Use(item) if is_test(&item.attrs) => {}
            Item::Use(item) => {
                let mut found = Vec::new();
                flatten(&item.tree, &[], &mut found);
                let is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
                for (path, name) in found {
                    if is_passed_on && self.at == self.file {
                        self.source.re_exports.insert(name, path.clone());
                        continue;
                    }
                    self.names(path);
                }
            }
            Item::Fn(item) if is_test(&item.attrs) => {}
            Item::Impl(item) if is_test(&item.attrs) => {}
            item => syn::visit::visit_item(self, item),
        }
    }

    /// As above.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.names(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

fn sources() -> BTreeMap<Module, Source> {
    let mut sources = BTreeMap::new();
    for path in files(Path::new("src")) {
        let module: Module = path
            .with_extension("")
            .components()
            .skip(1)
            .map(|part| part.as_os_str().to_str().unwrap().to_owned())
            .filter(|part| part != "lib")
            .collect();
        if module == ["main"] {
            continue;
        }
        let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut source = Source::default();
        let mut reader = Reader { source: &mut source, at: module.clone(), file: module.clone() };
        file.items.iter().for_each(|item| reader.visit_item(item));
        sources.insert(module, source);
    }
    // Files of tests are declared under `#[cfg(test)]`, so no source names them as its children.
    let declared: BTreeSet<Module> = sources
        .iter()
        .flat_map(|(module, source)| {
            source.children.iter().map(|child| [module.as_slice(), std::slice::from_ref(child)].concat())
        })
        .collect();
    sources.retain(|module, _| module.is_empty() || declared.contains(module));
    sources
}

/// The file that a path leads to; `None` if it leads out of the crate.
fn resolve(sources: &BTreeMap<Module, Source>, at: &Module, path: &[String], depth: usize) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut module = match first.as_str() {
        "crate" => Vec::new(),
        "self" => at.clone(),
        "super" => at.split_last()?.1.to_vec(),
        child if sources.contains_key(&[at.as_slice(), &[child.to_owned()]].concat()) => {
            [at.as_slice(), &[child.to_owned()]].concat()
        }
        name => {
            let passed_on = sources.get(at)?.re_exports.get(name).filter(|_| depth < 8)?;
            return resolve(sources, at, &[passed_on.as_slice(), rest].concat(), depth + 1);
        }
    };
    for (at, segment) in rest.iter().enumerate() {
        if segment == "super" {
            module.pop();
            continue;
        }
        let child = [module.as_slice(), std::slice::from_ref(segment)].concat();
        if sources.contains_key(&child) {
            module = child;
            continue;
        }
        let passed_on = sources.get(&module).and_then(|source| source.re_exports.get(segment));
        return match passed_on.filter(|_| depth < 8) {
            Some(path) => {
                let path = [path.as_slice(), &rest[at + 1..]].concat();
                resolve(sources, &module, &path, depth + 1)
            }
            None => Some(module),
        };
    }
    // A module inside of a file is the file.
    while !sources.contains_key(&module) {
        module.pop();
    }
    Some(module)
}

/// Every file with those that it imports.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let mut arrows = BTreeMap::new();
    for (module, source) in &sources {
        let mut leads_to: BTreeSet<_> =
            source.paths.iter().filter_map(|(at, path)| resolve(&sources, at, path, 0)).collect();
        leads_to.remove(module);
        arrows.insert(module.join("/"), leads_to.into_iter().map(|module| module.join("/")).collect());
    }
    arrows
}

fn room_of(module: &str) -> &str {
    module.split('/').next().unwrap_or_default()
}

#[test]
fn rooms_import_only_the_rooms_they_may() {
    let mut count = 0;
    for (module, leads_to) in &arrows() {
        let Some((room, may)) = ROOMS.iter().find(|(room, _)| *room == room_of(module)) else { continue };
        for other in leads_to.iter().map(|other| room_of(other)) {
            assert!(other == *room || may.contains(&other), "{module} imports {other}");
            count += 1;
        }
    }
    assert!(count > 500, "the test reads what it means to read: {count}");
}

#[test]
fn each_library_stays_in_its_room() {
    for (module, source) in &sources() {
        let Some(room) = module.first().filter(|room| *room != "app" && *room != "cli") else { continue };
        for (_, path) in &source.paths {
            for (library, owner) in OWN_LIBRARIES {
                assert!(
                    path.first().is_none_or(|first| first != library) || room == owner,
                    "{module:?} uses {library}"
                );
            }
        }
    }
}

#[test]
fn adapters_import_no_other_adapter_and_use_cases_none() {
    let folders = std::fs::read_dir("src/provider").unwrap().flatten().filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    let adapters: Vec<String> = names.filter(|name| name != "wire").collect();
    assert!(adapters.len() >= 7, "{adapters:?}");
    let adapter_of = |module: &str| {
        let mut parts = module.split('/');
        (parts.next() == Some("provider"))
            .then(|| parts.next())
            .flatten()
            .filter(|name| adapters.iter().any(|adapter| adapter == name))
            .map(str::to_owned)
    };
    for (module, leads_to) in &arrows() {
        for other in leads_to.iter().filter_map(|other| adapter_of(other)) {
            let is_its_own = adapter_of(module) == Some(other.clone());
            let may_know_all = ["provider/registry", "config/accounts", "simulator", "app"];
            assert!(is_its_own || may_know_all.contains(&module.as_str()), "{module} imports the adapter {other}");
        }
    }
}

/// Everything that a module imports, directly or through others.
fn reach<'a>(arrows: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for other in arrows.get(module).into_iter().flatten() {
            if reached.insert(other.as_str()) {
                next.push(other);
            }
        }
    }
    reached
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let arrows = arrows();
    let reached: BTreeMap<_, _> = arrows.keys().map(|module| (module.as_str(), reach(&arrows, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, reached_from_it) in &reached {
        let back = |other: &&str| reached.get(*other).is_some_and(|reached| reached.contains(module));
        let circle: BTreeSet<_> = reached_from_it.iter().copied().filter(back).collect();
        circles.extend((!circle.is_empty()).then_some(circle));
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// A new arrow is a decision: draw it with `UPDATE_ARROWS=1 cargo test --test it architecture::` and look at the diff.
#[test]
fn every_arrow_is_drawn() {
    let inside = |module: &str| ROOMS.iter().any(|(room, _)| *room == room_of(module));
    let mut drawing = String::new();
    for (module, leads_to) in arrows().iter().filter(|(module, _)| inside(module)) {
        let same_room: Vec<_> =
            leads_to.iter().filter(|other| room_of(other) == room_of(module)).map(String::as_str).collect();
        if !same_room.is_empty() {
            drawing.push_str(&format!("{module} -> {}\n", same_room.join(", ")));
        }
    }
    if std::env::var_os("UPDATE_ARROWS").is_some() {
        std::fs::write(DRAWING, &drawing).unwrap();
    }
    let drawn = std::fs::read_to_string(DRAWING).unwrap_or_default();
    let (drawn, found): (BTreeSet<_>, BTreeSet<_>) = (drawn.lines().collect(), drawing.lines().collect());
    let new: Vec<_> = found.difference(&drawn).collect();
    let gone: Vec<_> = drawn.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not drawn in {DRAWING}: {new:#?}; drawn and gone: {gone:#?}");
}
