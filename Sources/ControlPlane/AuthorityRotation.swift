internal import Glibc
internal import MeshModel
internal import TLS

/// The rotation of an embedded authority, for `ztund ca rotate`.
package enum AuthorityRotation {
    /// Replaces the authority of a directory, with an overlap.
    /// - Parameters:
    ///   - overlap: seconds that the old root stays accepted after the new authority signs.
    ///   - settle: seconds that all programs have to accept the new root before it signs; they look twice a second.
    /// - Returns: what was done, as a sentence.
    /// - Throws: ``ConfigurationError`` when there is no authority to take over from, or it cannot be written.
    package static func run(
        directory: String, trustDomain: String, overlap: Int64, settle: Int64
    ) throws(ConfigurationError) -> String {
        do throws(CertificateError) {
            let now = { @Sendable in Int64(time(nil)) }
            let authority = try CertificateAuthority.rotate(
                directory: directory, trustDomain: trustDomain, now: now, overlap: overlap,
                settle: { sleep(UInt32(clamping: settle)) })
            let end = CivilTime(unixSeconds: now() + overlap)
            return
                "the authority \(authority.certificate.serialHex) signs now; its predecessor is accepted until \(end)"
        } catch {
            throw ConfigurationError(file: directory, problem: error.description)
        }
    }
}
