//! The certificate authorities that images trust: Mozilla's list, as the `webpki-root-certs` crate carries it.

use pem::{EncodeConfig, LineEnding, Pem};

/// One PEM file. The system's list is not taken, because images would then differ from machine to machine.
pub(crate) fn bundle() -> String {
    let authorities = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let authorities: Vec<_> = authorities.map(|der| Pem::new("CERTIFICATE", der.as_ref())).collect();
    pem::encode_many_config(&authorities, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_reads_back_as_the_authorities() {
        let read = pem::parse_many(bundle()).unwrap();
        let known: Vec<&[u8]> =
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| der.as_ref()).collect();
        assert_eq!(read.iter().map(Pem::contents).collect::<Vec<_>>(), known);
        assert!(known.len() > 100);
    }
}
