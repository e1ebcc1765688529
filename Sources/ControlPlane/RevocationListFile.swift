package import StatusModel
package import TLS
internal import Telemetry

/// The file of certificate revocation lists (`--crl`, `CRL_PATH`), read again whenever it changes.
///
/// A file that is missing, or damaged at the first look, leaves nothing revoked until a good one is there; one that
/// goes bad or away later leaves the last good lists in force. All functions may be called from any thread.
package final class RevocationListFile: Sendable {
    /// What one check did.
    package enum Outcome: Hashable, Sendable {
        case unchanged
        /// The file is changing; a check within 100 ms is worth it.
        case settling
        /// Other lists are in force: ask again for every live peer.
        case loaded
        /// It cannot be used, for the reason in ``lastError``, which began now.
        case failed
    }

    package let path: String
    /// What the TLS contexts ask.
    package let list: RevocationList
    private let file: FileSource<RevokedCertificates>
    private let state = Lock(State())

    private struct State {
        var lists = 0
        var revoked = 0
        var reported: String?
    }

    /// Longest accepted file, in bytes.
    package static let limit = 64 << 20

    package init(path: String) {
        self.path = path
        let list = RevocationList()
        self.list = list
        let state = self.state
        file = FileSource(
            path: path, limit: Self.limit,
            parse: { bytes, path throws(ConfigurationError) in
                do throws(CertificateError) {
                    return try RevokedCertificates(bytes, source: path)
                } catch {
                    throw ConfigurationError(file: path, problem: error.description)
                }
            },
            deliver: { revoked, _ in
                list.replace(with: revoked)
                state.withLock { ($0.lists, $0.revoked) = (revoked.count, revoked.revokedCount) }
            })
    }

    /// Looks at the file once and loads it when it changed.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func check(now: Int64) -> Outcome {
        let outcome = file.check(now: now)
        let error = file.status.lastError
        let isNews = state.withLock { state in
            defer { state.reported = error }
            return state.reported != error
        }
        switch outcome {
        case .loaded: return .loaded
        case .settling: return .settling
        case .unchanged: return .unchanged
        case .failed: return isNews ? .failed : .unchanged
        }
    }

    /// Why the newest file is not in force; nil when it is.
    package var lastError: String? { file.status.lastError }

    /// For `ztun certs`.
    package var status: RevocationStatus {
        let source = file.status
        return state.withLock { state in
            var status = RevocationStatus(path: path, lists: state.lists, revoked: state.revoked)
            status.loadedAt = source.loadedAt.map { StatusTime(unixSeconds: $0 / 1_000_000_000) }
            status.error = source.lastError ?? ""
            return status
        }
    }
}
