package import TLS

/// Where certificates come from.
package enum IdentitySource: Sendable, Hashable {
    /// An embedded authority; `lifetime` of leaves is in seconds.
    case authority(directory: String, trustDomain: String, lifetime: Int64)
    /// Files, one set for each identity.
    case files([CertificateFiles])
}
