//! Namespaces, and what hangs between them.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::wire::Wire;
use crate::ship::Ship;
use crate::tools;

/// What the names of our namespaces begin with; the process id and a number follow.
const PREFIX: &str = "posthouse-test-";
/// Through which TAP devices are made.
const TUN: &str = "/dev/net/tun";
/// What the system says for EPERM, to a program and through one.
const FORBIDDEN: &str = "Operation not permitted";
/// The network of the segment: addresses look public and are nobody's here.
const SEGMENT: [u8; 2] = [11, 7];
/// What a home's router does: answers from outside come in, nothing else does; what goes out bears its address.
const ROUTER: &str = "
table ip home {
    chain input { type filter hook input priority 0; policy accept; iifname wan ct state established,related accept; iifname wan drop; }
    chain forward { type filter hook forward priority 0; policy accept; iifname wan ct state established,related accept; iifname wan drop; }
    chain post { type nat hook postrouting priority 100; oifname wan masquerade; }
}
";

/// A network namespace; it is removed, with what runs in it, when this is dropped.
#[derive(Debug)]
pub(super) struct Space {
    name: String,
}

impl Space {
    fn new(name: String) -> Result<Self> {
        ip(&["netns", "add", &name])?;
        let space = Self { name };
        space.ip(&["link", "set", "lo", "up"])?;
        Ok(space)
    }

    fn ip(&self, args: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.name], args].concat())
    }

    /// Does something inside, on a thread that is in no other namespace before or after.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.name);
        let enter = || {
            let space = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            setns(space, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {}", self.name))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join())
            .map_err(|_| anyhow!("a thread inside {} panicked", self.name))?
    }

    fn tap(&self, name: &str) -> Result<SyncDevice> {
        let made = self.inside(|| Ok(DeviceBuilder::new().name(name).layer(Layer::L2).build_sync()?));
        made.with_context(|| format!("making the TAP device {name} in {}", self.name))
    }

    fn run(&self, program: &str, input: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(program.split(' ')).stdin(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().context("running ip netns exec")?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        match output.status.success() {
            true => Ok(()),
            false => bail!("`{program}` in {}: {}", self.name, String::from_utf8_lossy(&output.stderr)),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("running ip")?;
    if !output.status.success() {
        bail!("`ip {}`: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Ends what runs in a namespace, and removes it. Nothing is to be done about what fails.
fn remove(name: &str) {
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.split_whitespace() {
        let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
    }
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// Removes what runs have left whose process is no more.
fn sweep() -> Result<()> {
    let output = Command::new("ip").args(["netns", "list"]).output().context("running ip netns list")?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(owner).exists() {
            remove(name);
        }
    }
    Ok(())
}

/// Networks could not be made. Where this machine forbids it, that is said loudly; anything else fails in CI, or a fault of
/// these tests would look like a machine that lets nobody make any.
fn not_made(error: &anyhow::Error) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self")?.uid() == 0;
    let forbidden = !root || !Path::new(TUN).exists() || format!("{error:#}").contains(FORBIDDEN);
    let what = format!("making networks ({error:#})");
    if forbidden {
        let how = format!("Run it as root, or with the capabilities NET_ADMIN and SYS_ADMIN and with {TUN}.");
        tools::not_permitted(&what, &how);
        return Ok(());
    }
    tools::missing(&what, "a kernel with bridges, TAP devices and nftables, and nobody else in the way")
}

/// A place at which relays run: a namespace, its wire to the segment, and at home a router between.
#[derive(Debug)]
pub struct Site {
    pub(super) space: Space,
    address: Ipv4Addr,
    at_home: bool,
    wire: Wire,
    router: Option<Space>,
}

impl Site {
    /// Lets nothing pass between this site and another one, each way, until [`Site::let_pass`]. Others are met as before.
    ///
    /// # Errors
    /// The kernel takes no such rule.
    pub fn shut_out(&self, other: &Site) -> Result<()> {
        let address = other.address;
        let chain = |hook| {
            format!(
                "chain {hook} {{ type filter hook {hook} priority -10; ip saddr {address} drop; ip daddr {address} drop; }}"
            )
        };
        let chains = ["input", "forward", "output"].map(chain).join("\n");
        self.gate().run("nft -f -", &format!("table ip shut {{\n{chains}\n}}\n"))
    }

    /// Lets everything pass again.
    ///
    /// # Errors
    /// Nobody was shut out.
    pub fn let_pass(&self) -> Result<()> {
        self.gate().run("nft delete table ip shut", "")
    }

    /// Through which all goes that comes and leaves: the router, if there is one.
    fn gate(&self) -> &Space {
        self.router.as_ref().unwrap_or(&self.space)
    }

    /// The address by which others see it: its own, or its router's.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether a router stands between it and the rest.
    #[must_use]
    pub fn is_at_home(&self) -> bool {
        self.at_home
    }

    /// Its wire to the segment.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Writes a program that runs another one at this site.
    pub(super) fn wrap(&self, program: &Path, folder: &Path) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join(program.file_name().context("a program has a name")?);
        let script =
            format!("#!/bin/sh\nexec ip netns exec {} '{}' \"$@\"\n", self.space.name, program.display());
        std::fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }
}

/// One Ethernet segment, to which all sites are wired.
#[derive(Debug)]
pub struct Internet {
    name: String,
    backbone: Space,
    sites: u8,
    ship: Ship,
    folder: TempDir,
}

impl Internet {
    /// A new one; `None` where this machine does not permit it, which is said loudly.
    ///
    /// # Errors
    /// A program is missing where it must not be, or something fails that should not.
    pub fn open() -> Result<Option<Self>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (Some(_), Some(_)) = (
            tools::require("ip", "apt-get install iproute2")?,
            tools::require("nft", "apt-get install nftables")?,
        ) else {
            return Ok(None);
        };
        sweep()?;
        let name = format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let backbone = match Space::new(name.clone()).and_then(|space| Self::try_out(&space).map(|()| space))
        {
            Ok(space) => space,
            Err(error) => return not_made(&error).map(|()| None),
        };
        backbone.ip(&["link", "add", "segment", "type", "bridge"])?;
        backbone.ip(&["link", "set", "segment", "up"])?;
        let ship = Ship::build()?.clone();
        let folder = tempfile::Builder::new().prefix("posthouse-netns-").tempdir()?;
        std::fs::write(folder.path().join("overrides.toml"), "")?;
        Ok(Some(Self { name, backbone, sites: 0, ship, folder }))
    }

    /// Everything that is needed of the kernel, once.
    fn try_out(space: &Space) -> Result<()> {
        drop(space.tap("trial")?);
        space.run("nft -f -", ROUTER)?;
        space.run("nft flush ruleset", "")
    }

    /// A site with a public address.
    ///
    /// # Errors
    /// Something cannot be made.
    pub fn public_site(&mut self) -> Result<Site> {
        let (number, address) = self.next();
        let space = Space::new(format!("{}-{number}", self.name))?;
        let wire = self.wire(&space, number)?;
        space.ip(&["addr", "add", &format!("{address}/16"), "dev", "wan"])?;
        space.ip(&["link", "set", "wan", "up"])?;
        Ok(Site { space, address, at_home: false, wire, router: None })
    }

    /// A site at home: a private network behind a router that masquerades, and no port is open.
    ///
    /// # Errors
    /// Something cannot be made.
    pub fn home_site(&mut self) -> Result<Site> {
        let (number, address) = self.next();
        let router = Space::new(format!("{}-{number}r", self.name))?;
        let space = Space::new(format!("{}-{number}", self.name))?;
        let wire = self.wire(&router, number)?;
        router.ip(&["addr", "add", &format!("{address}/16"), "dev", "wan"])?;
        router.ip(&["link", "set", "wan", "up"])?;
        router.ip(&["link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", &space.name])?;
        router.ip(&["addr", "add", &format!("192.168.{number}.1/24"), "dev", "lan"])?;
        router.ip(&["link", "set", "lan", "up"])?;
        space.ip(&["addr", "add", &format!("192.168.{number}.2/24"), "dev", "eth"])?;
        space.ip(&["link", "set", "eth", "up"])?;
        space.ip(&["route", "add", "default", "via", &format!("192.168.{number}.1")])?;
        router.run("sysctl -q -w net.ipv4.ip_forward=1", "")?;
        router.run("nft -f -", ROUTER)?;
        Ok(Site { space, address, at_home: true, wire, router: Some(router) })
    }

    fn next(&mut self) -> (u8, Ipv4Addr) {
        self.sites += 1;
        let [a, b] = SEGMENT;
        (self.sites, Ipv4Addr::new(a, b, self.sites, 1))
    }

    /// A wire from the device `wan` of a namespace to the segment.
    fn wire(&self, space: &Space, number: u8) -> Result<Wire> {
        let far = space.tap("wan")?;
        let plug = format!("plug{number}");
        let near = self.backbone.tap(&plug)?;
        self.backbone.ip(&["link", "set", &plug, "master", "segment"])?;
        self.backbone.ip(&["link", "set", &plug, "up"])?;
        Wire::between(near, far, u64::from(number))
    }

    /// The programs.
    #[must_use]
    pub fn ship(&self) -> &Ship {
        &self.ship
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
