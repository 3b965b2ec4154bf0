//! `--add-host HOST:ADDRESS` and `HOST=ADDRESS` (docker/cli `opts.ValidateExtraHost`). Pure.

use std::net::IpAddr;

use super::ValueError;

/// Docker's word for the address of the daemon's own machine.
pub const HOST_GATEWAY: &str = "host-gateway";

/// Reads one entry as name and address; the address may be [`HOST_GATEWAY`].
///
/// # Errors
/// No separator, an empty name, or an address that is none.
pub fn parse(value: &str) -> Result<(String, String), ValueError> {
    // `=` first: it is unambiguous with IPv6 addresses.
    let split = value.split_once('=').or_else(|| value.split_once(':'));
    let (name, address) = split.ok_or_else(|| ValueError::new(value, "it is not HOST:ADDRESS"))?;
    if name.is_empty() {
        return Err(ValueError::new(value, "there is no host name before the address").at(0));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare != HOST_GATEWAY && bare.parse::<IpAddr>().is_err() {
        let error = ValueError::new(value, format!("`{address}` is not an IP address")).at(name.len() + 1);
        return Err(error.near(address, &[HOST_GATEWAY]));
    }
    Ok((name.to_owned(), bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_separators() {
        for (text, name, address) in [
            ("a:1.2.3.4", "a", "1.2.3.4"),
            ("a=1.2.3.4", "a", "1.2.3.4"),
            ("a:::1", "a", "::1"),
            ("a=[::1]", "a", "::1"),
            ("host.docker.internal:host-gateway", "host.docker.internal", "host-gateway"),
        ] {
            assert_eq!(parse(text), Ok((name.to_owned(), address.to_owned())), "{text}");
        }
    }

    #[test]
    fn points_at_faults() {
        for (bad, at) in [("a", None), (":1.2.3.4", Some(0)), ("a:1.2.3", Some(2)), ("ab=hostgateway", Some(3))] {
            assert_eq!(parse(bad).unwrap_err().at, at, "{bad}");
        }
    }
}
