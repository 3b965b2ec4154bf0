//! Ports and signals (docker/go-connections `nat`, moby/sys `signal`).

/// Returns whether a text is `[[ADDRESS:]HOST:]PORT[-PORT][/tcp|udp|sctp]`, as EXPOSE takes it.
pub(super) fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol_ok = ["tcp", "udp", "sctp"].iter().any(|known| known.eq_ignore_ascii_case(protocol));
    let container = ports.rsplit(':').next().unwrap_or(ports);
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
    protocol_ok && range.is_some_and(|(first, last)| first <= last)
}

/// Names of Linux's signals, without SIG.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Returns whether a text is a number or the name of one of Linux's signals, with or without SIG.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return number > 0;
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |prefix: &str, most: u32| {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        number.is_some_and(|number| (1..=most).contains(&number))
    };
    SIGNALS.contains(&name) || offset("RTMIN+", 15) || offset("RTMAX-", 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_ports_and_signals() {
        for (text, good) in [
            ("80", true),
            ("80/udp", true),
            ("80-90/TCP", true),
            ("127.0.0.1:1:80", true),
            ("abc", false),
            ("80/x", false),
            ("90-80", false),
            ("65536", false),
            ("", false),
        ] {
            assert_eq!(is_port(text), good, "{text}");
        }
        for (text, good) in [
            ("SIGTERM", true),
            ("term", true),
            ("9", true),
            ("SIGRTMIN+3", true),
            ("RTMAX-14", true),
            ("0", false),
            ("SIGNOPE", false),
            ("SIGTERM SIGINT", false),
        ] {
            assert_eq!(is_signal(text), good, "{text}");
        }
    }
}
