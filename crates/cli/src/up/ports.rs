//! Which port everything listens on.
//!
//! A component keeps its port for the life of the stack, through restarts: the endpoints file and `llmd status`
//! stay true. Ports come from below the range in which the kernel picks ports for outgoing connections, so none
//! is taken while a component is down.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::state::GatewayKind;

/// Linux gives outgoing connections 32768 and up (`ip_local_port_range`).
const RANGE: Range<u16> = 20_000..32_000;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens on the gateway's port.
    #[error("port {0} on 127.0.0.1 is in use: choose another with --port, or end what listens there")]
    InUse(u16),
    /// The system refuses the gateway's port for another reason (a low port without the right to it).
    #[error("cannot listen on 127.0.0.1:{port}: choose another with --port")]
    Refused {
        /// The port.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The whole range is in use.
    #[error("no free port on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end)]
    Exhausted,
}

/// Every port of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// Where clients connect.
    pub gateway: u16,
    /// Envoy's admin, with Envoy.
    pub envoy_admin: Option<u16>,
    /// The endpoint picker.
    pub epp: EppPorts,
    /// HTTP of each prefill engine.
    pub prefill: Vec<u16>,
    /// Each decode engine and its sidecar.
    pub decode: Vec<DecodePorts>,
}

/// The endpoint picker's ports beside its own proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EppPorts {
    /// ext_proc.
    pub grpc: u16,
    /// gRPC health.
    pub grpc_health: u16,
    /// Admin: metrics, readiness, decisions.
    pub metrics: u16,
}

/// A decode engine and its sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodePorts {
    /// HTTP of the engine.
    pub engine: u16,
    /// HTTP of the sidecar: the endpoint that the picker knows.
    pub sidecar: u16,
    /// Metrics of the sidecar.
    pub sidecar_metrics: u16,
}

impl Ports {
    /// Gives everything a port from `free`, except a gateway whose port was chosen.
    ///
    /// # Errors
    /// Whatever `free` fails with.
    pub fn assign<E>(
        gateway: GatewayKind,
        gateway_port: Option<u16>,
        n_prefill: u16,
        n_decode: u16,
        mut free: impl FnMut() -> Result<u16, E>,
    ) -> Result<Self, E> {
        let gateway_port = match gateway_port {
            Some(port) => port,
            None => free()?,
        };
        let envoy_admin = match gateway {
            GatewayKind::Native => None,
            GatewayKind::Envoy => Some(free()?),
        };
        let epp = EppPorts { grpc: free()?, grpc_health: free()?, metrics: free()? };
        let prefill = (0..n_prefill).map(|_| free()).collect::<Result<_, _>>()?;
        let mut decode_ports =
            || Ok(DecodePorts { engine: free()?, sidecar: free()?, sidecar_metrics: free()? });
        let decode = (0..n_decode).map(|_| decode_ports()).collect::<Result<_, _>>()?;
        Ok(Self { gateway: gateway_port, envoy_admin, epp, prefill, decode })
    }
}

/// Walks through [`RANGE`] once, from a place that differs between processes.
#[derive(Debug)]
pub struct FreePorts {
    candidates: std::iter::Take<std::iter::Skip<std::iter::Cycle<Range<u16>>>>,
}

impl FreePorts {
    /// `seed` spreads stacks that start at the same time: a process id.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        // Neighbouring process ids begin further apart than a small stack needs ports.
        let start = (seed as usize).wrapping_mul(61) % RANGE.len();
        Self { candidates: RANGE.cycle().skip(start).take(RANGE.len()) }
    }

    /// The next port nobody listens on.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub fn take(&mut self) -> Result<u16, Error> {
        self.candidates.find(|&port| listen_once(port).is_ok()).ok_or(Error::Exhausted)
    }
}

/// Whether the gateway can have `port`.
///
/// # Errors
/// [`Error::InUse`] and [`Error::Refused`].
pub fn check_gateway(port: u16) -> Result<(), Error> {
    listen_once(port).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse(port),
        _ => Error::Refused { port, source },
    })
}

fn listen_once(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::convert::Infallible;

    #[test]
    fn every_listener_has_its_own_port() {
        let mut next = 100;
        let free = || {
            next += 1;
            Ok::<_, Infallible>(next)
        };
        let ports = Ports::assign(GatewayKind::Envoy, Some(8080), 2, 2, free).unwrap();
        let mut all = vec![ports.gateway, ports.epp.grpc, ports.epp.grpc_health, ports.epp.metrics];
        all.extend(ports.envoy_admin);
        all.extend(&ports.prefill);
        all.extend(ports.decode.iter().flat_map(|it| [it.engine, it.sidecar, it.sidecar_metrics]));
        assert_eq!(all.len(), 13);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 13);
        assert_eq!(ports.gateway, 8080);
    }

    #[test]
    fn a_port_with_a_listener_is_skipped_and_named() {
        let mut free = FreePorts::new(7);
        let first = free.take().unwrap();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(FreePorts::new(7).take().unwrap(), first);
        assert!(matches!(check_gateway(first), Err(Error::InUse(port)) if port == first));
        drop(holder);
        check_gateway(first).unwrap();
    }
}
