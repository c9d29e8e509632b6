"""Keys and certificates: the pods' own CA, the certificates it signs, SSH host keys.

Everything works on bytes, since several pods share one CA through their database; the
`load_or_make` functions look into the directory in which earlier versions kept it.  This room knows
neither sockets nor the store, and takes the time as an argument.
"""

from tunnelcloud.pki.authority import (
    POD_CERTIFICATE_LIFETIME,
    UNREADABLE,
    BadAuthority,
    BadCertificateRequest,
    CertificateAuthority,
    IssuedCertificate,
    NotAConnectorCertificate,
    UntrustedPod,
    WrongClock,
    certificate_pin,
    check_pod_certificate,
    clock_text,
    connector_id_of,
    is_of_its_time,
    is_of_some_cluster,
    load_or_make_authority,
    public_key_fingerprint,
)
from tunnelcloud.pki.authority_rotation import Authorities, check_pod_of_any, is_issued_by
from tunnelcloud.pki.host_keys import (
    ALGORITHMS,
    BadHostKey,
    HostKey,
    HostKeys,
    known_hosts_line,
    load_or_make_host_key,
    read_unchecked,
)
from tunnelcloud.pki.sealing import (
    SEALING_KEY_FILE,
    BadSealingKey,
    CannotUnseal,
    Sealer,
    is_sealed,
    load_sealer,
    make_sealer_file,
    passing_sealer,
)
from tunnelcloud.pki.signing_requests import make_request, new_private_key
from tunnelcloud.private_files import (
    ExposedPrivateFile,
    UnreadablePrivateFile,
    check_private,
    read_private,
    write_atomically,
)

__all__ = [
    "ALGORITHMS",
    "POD_CERTIFICATE_LIFETIME",
    "SEALING_KEY_FILE",
    "UNREADABLE",
    "Authorities",
    "BadAuthority",
    "BadCertificateRequest",
    "BadHostKey",
    "BadSealingKey",
    "CannotUnseal",
    "CertificateAuthority",
    "ExposedPrivateFile",
    "HostKey",
    "HostKeys",
    "IssuedCertificate",
    "NotAConnectorCertificate",
    "Sealer",
    "UnreadablePrivateFile",
    "UntrustedPod",
    "WrongClock",
    "certificate_pin",
    "check_pod_certificate",
    "check_pod_of_any",
    "check_private",
    "clock_text",
    "connector_id_of",
    "is_issued_by",
    "is_of_its_time",
    "is_of_some_cluster",
    "is_sealed",
    "known_hosts_line",
    "load_or_make_authority",
    "load_or_make_host_key",
    "load_sealer",
    "make_request",
    "make_sealer_file",
    "new_private_key",
    "passing_sealer",
    "public_key_fingerprint",
    "read_private",
    "read_unchecked",
    "write_atomically",
]
