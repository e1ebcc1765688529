internal import TLS
internal import Telemetry

/// A configuration file that is read, parsed and read again whenever it changes; a broken edit leaves the last good
/// value in force.
///
/// Checked with `stat`, which sees editors' renames, Kubernetes' swapped symbolic links and writes from other
/// namespaces alike; a ``FolderWatch`` says when it is worth it, beside a slow poll. All functions may be called from any thread; ``check(now:)`` runs the callback on its caller's.
package final class FileSource<Value: Sendable>: Sendable {
    /// Turns bytes into a value; the second argument is the path, for errors.
    package typealias Parse = @Sendable ([UInt8], String) throws(ConfigurationError) -> Value
    /// Takes a new value and its generation, from 1.
    package typealias Deliver = @Sendable (Value, UInt64) -> Void

    /// What one check did.
    package enum Outcome: Hashable, Sendable {
        /// Nothing was to be done.
        case unchanged
        /// The file is changing; a check after ``ControlThread/settlingTime(isNoticed:)`` is worth it.
        case settling
        /// A new value was delivered.
        case loaded
        /// The file cannot be used; see ``FileSourceStatus/lastError``.
        case failed
    }

    package let path: String
    private let limit: Int
    private let parse: Parse
    private let deliver: Deliver
    /// Held through a whole check, so that values are delivered in order.
    private let watch = Lock(Watch())
    private let published = Lock(FileSourceStatus())

    private struct Watch {
        var file = FileWatch()
        var contentHash: ContentHash?
    }

    /// - Parameter limit: longest accepted file, in bytes.
    package init(
        path: String, limit: Int = YAMLLimits().bytes, parse: @escaping Parse, deliver: @escaping Deliver
    ) {
        self.path = path
        self.limit = limit
        self.parse = parse
        self.deliver = deliver
    }

    /// What is in force and what was wrong last.
    package var status: FileSourceStatus { published.withLock { $0 } }

    /// Looks at the file once and loads it when it changed.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> Outcome {
        watch.withLock { watch in
            switch watch.file.onLook(FileVersion(path: path)) {
            case .wait: return restore()
            case .settle: return .settling
            case .missing:
                // Between unlink and create of an editor there is no file for a moment; the value in force stays.
                return fail("\(path): there is no such file, or it cannot be reached", now: now)
            case .read: return load(&watch, now: now)
            }
        }
    }

    private func load(_ watch: inout Watch, now: Int64) -> Outcome {
        let contents: FileContents
        do throws(CertificateError) {
            contents = try FileContents(path: path, limit: limit)
        } catch {
            return fail(error.description, now: now)
        }
        watch.file.onRead(contents.version, now: now)
        let hash = contents.bytes.withUnsafeBytes { ContentHash($0) }
        if hash == watch.contentHash { return restore() }
        watch.contentHash = hash
        let value: Value
        do throws(ConfigurationError) {
            value = try parse(contents.bytes, path)
        } catch {
            return fail(error.description, isParse: true, now: now)
        }
        let generation = published.withLock { status in
            status.generation += 1
            status.loadedAt = now
            status.lastError = nil
            status.failedAt = nil
            status.isParseError = false
            return status.generation
        }
        deliver(value, generation)
        return .loaded
    }

    /// The same file or the same bytes as before: what they led to, good or bad, still holds.
    private func restore() -> Outcome {
        published.withLock { status in
            if !status.isParseError { (status.lastError, status.failedAt) = (nil, nil) }
        }
        return .unchanged
    }

    private func fail(_ text: String, isParse: Bool = false, now: Int64) -> Outcome {
        published.withLock { status in
            if status.lastError != text { status.failedAt = now }
            status.lastError = text
            status.isParseError = isParse
        }
        return .failed
    }
}

/// What a ``FileSource`` has in force, and why its newest version is not.
package struct FileSourceStatus: Hashable, Sendable {
    /// Grows by one with every accepted change; 0 before the first.
    package internal(set) var generation: UInt64 = 0
    /// When the value in force was loaded, nanoseconds of the Unix epoch.
    package internal(set) var loadedAt: Int64?
    /// Why the newest version was refused, with file, line and key; nil when it is in force.
    package internal(set) var lastError: String?
    /// When ``lastError`` began, nanoseconds of the Unix epoch.
    package internal(set) var failedAt: Int64?
    /// Whether the file could be read but not understood.
    var isParseError = false
}
