package import TLS

/// Where certificates come from.
package enum IdentitySource: Sendable, Hashable {
    /// An embedded authority; `lifetime` of leaves is in seconds.
    case authority(directory: String, trustDomain: String, lifetime: Int64)
    /// Files, one set for each identity.
    case files([CertificateFiles])

    /// The files whose change may change certificates or roots.
    package var watchedPaths: [String] {
        switch self {
        case .authority(let directory, _, _): ["\(directory)/ca.crt", "\(directory)/ca.roots"]
        case .files(let files): files.flatMap { [$0.chainPath, $0.keyPath, $0.rootsPath] }
        }
    }
}
