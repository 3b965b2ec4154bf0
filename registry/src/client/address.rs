//! Which addresses a registry may send us to.
//!
//! Owns: classes of addresses and a resolver that yields only allowed ones, so that the address that
//! was vetted is the address that is connected to (no DNS rebinding).
//! Never: looks at host names, whose spelling proves nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How private an address is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Routed in the internet.
    Public,
    /// RFC 1918, RFC 6598, RFC 4193.
    Private,
    /// This machine.
    Loopback,
    /// Unspecified, link-local (cloud metadata), multicast, broadcast: never a place a registry may name.
    Forbidden,
}

impl AddressClass {
    /// Classifies an address; IPv4 inside IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => class_v4(address),
            IpAddr::V6(address) => match embedded_v4(address) {
                Some(inner) => class_v4(inner),
                None => class_v6(address),
            },
        }
    }

    /// Classifies a host by all its addresses. The most public one decides: a name that also resolves to this
    /// machine must not open this machine to whoever owns the name. No address at all counts as public.
    pub fn of_all(addresses: impl Iterator<Item = IpAddr>) -> Self {
        addresses.map(Self::of).min().unwrap_or(Self::Public)
    }

    /// Returns whether a registry at an address of this class may send us to `target`.
    pub fn may_name(self, target: Self) -> bool {
        target != Self::Forbidden && target <= self
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    let [a, b, ..] = address.octets();
    if a == 0 || address.is_link_local() || address.is_multicast() || a >= 240 {
        AddressClass::Forbidden
    } else if address.is_loopback() {
        AddressClass::Loopback
    } else if address.is_private() || (a == 100 && (64..128).contains(&b)) {
        AddressClass::Private
    } else {
        AddressClass::Public
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    let head = address.segments()[0];
    if address.is_unspecified() || address.is_multicast() || head & 0xffc0 == 0xfe80 {
        AddressClass::Forbidden
    } else if address.is_loopback() {
        AddressClass::Loopback
    } else if head & 0xfe00 == 0xfc00 || head & 0xffc0 == 0xfec0 {
        AddressClass::Private
    } else {
        AddressClass::Public
    }
}

/// IPv4-mapped (`::ffff:0:0/96`) and NAT64 (`64:ff9b::/96`) addresses reach the IPv4 address in them.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let nat64 = s[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let [.., a, b, c, d] = address.octets();
    address.to_ipv4_mapped().or_else(|| nat64.then(|| Ipv4Addr::new(a, b, c, d)))
}

/// The address a URL names literally, if it does. `url` has already turned `0x7f.1` into 127.0.0.1.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    }
}

/// Why no address of a host was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {reason}")]
pub struct Forbidden {
    /// The host.
    pub host: String,
    /// Why.
    pub reason: &'static str,
}

/// The reason given for every refused address.
pub const TOO_PRIVATE: &str = "its address is more private than the registry's";

/// A name has no address, or none that could be found.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the address of {host}")]
pub struct Unresolved {
    /// The name.
    pub host: String,
    /// Cause.
    #[source]
    pub source: std::io::Error,
}

/// Resolves names to the addresses that a registry of this class may name; to all without a class.
#[derive(Debug, Clone, Copy)]
pub struct VettedResolver(pub Option<AddressClass>);

impl Resolve for VettedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let class = self.0;
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await;
            let found = found.map_err(|source| Unresolved { host: host.to_owned(), source })?;
            let allowed = match class {
                Some(class) => vet(class, host, found.collect())?,
                None => found.collect(),
            };
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Keeps the allowed addresses.
///
/// # Errors
/// [`Forbidden`] if none is left of at least one.
fn vet(class: AddressClass, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
    let had = !found.is_empty();
    let allowed: Vec<_> = found.into_iter().filter(|a| class.may_name(AddressClass::of(a.ip()))).collect();
    if had && allowed.is_empty() {
        return Err(Forbidden { host: host.to_owned(), reason: TOO_PRIVATE });
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_addresses() {
        use AddressClass::*;
        for (text, want) in [
            ("8.8.8.8", Public),
            ("10.1.2.3", Private),
            ("172.31.0.1", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("127.0.0.53", Loopback),
            ("0.0.0.0", Forbidden),
            ("0.1.2.3", Forbidden),
            ("169.254.169.254", Forbidden),
            ("224.0.0.1", Forbidden),
            ("255.255.255.255", Forbidden),
            ("2606:4700::1", Public),
            ("fd00:ec2::254", Private),
            ("::1", Loopback),
            ("::", Forbidden),
            ("fe80::1", Forbidden),
            ("ff02::1", Forbidden),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Forbidden),
            ("64:ff9b::a00:1", Private),
        ] {
            assert_eq!(AddressClass::of(text.parse().unwrap()), want, "{text}");
        }
    }

    #[test]
    fn the_most_public_address_of_a_host_decides() {
        use AddressClass::*;
        for (addresses, want) in [
            (&["127.0.0.1", "8.8.8.8"][..], Public),
            (&["::1", "10.0.0.1"], Private),
            (&["::1", "127.0.0.1"], Loopback),
            (&[], Public),
        ] {
            let parsed = addresses.iter().map(|text| text.parse().unwrap());
            assert_eq!(AddressClass::of_all(parsed), want, "{addresses:?}");
        }
    }

    #[test]
    fn a_registry_never_sends_us_somewhere_more_private() {
        use AddressClass::*;
        let allowed = |from: AddressClass| [Public, Private, Loopback, Forbidden].map(|to| from.may_name(to));
        assert_eq!(allowed(Public), [true, false, false, false]);
        assert_eq!(allowed(Private), [true, true, false, false]);
        assert_eq!(allowed(Loopback), [true, true, true, false]);
    }

    #[test]
    fn numbers_in_disguise_are_literals() {
        for text in ["https://2130706433/", "https://0x7f.1/", "https://[::ffff:127.0.0.1]/", "https://127.1/"] {
            let url = Url::parse(text).unwrap();
            assert_eq!(literal(&url).map(AddressClass::of), Some(AddressClass::Loopback), "{text}");
        }
    }

    #[test]
    fn rebinding_leaves_only_allowed_addresses() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mixed = vec![at("127.0.0.1:0"), at("8.8.8.8:0")];
        assert_eq!(vet(AddressClass::Public, "h", mixed), Ok(vec![at("8.8.8.8:0")]));
        assert!(vet(AddressClass::Public, "h", vec![at("10.0.0.1:0")]).is_err());
        assert_eq!(vet(AddressClass::Public, "h", vec![]), Ok(vec![]));
    }
}
