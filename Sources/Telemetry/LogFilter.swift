/// Which lines are shown: a level for everything and levels for single scopes, the last word winning.
///
/// Text form: comma-separated clauses, each `LEVEL` or `SCOPE=LEVEL` (`SCOPE:LEVEL` is read too), as in
/// `info,access=off`. A leading `ztunnel::` or `ztun::` of a scope is dropped; a scope we do not have is kept in the
/// text and has no effect, so that filters written for ztunnel are accepted.
package struct LogFilter: Hashable, Sendable {
    /// Why a filter could not be read; the description names the clause and what is allowed.
    package struct Failure: Error, CustomStringConvertible, Sendable {
        package let clause: String

        package var description: String {
            "log filter: \"\(clause)\" is not LEVEL or SCOPE=LEVEL; levels are error, warn, info, debug, trace, off; "
                + "for example info,access=off"
        }
    }

    /// Longest filter text that is kept, in clauses; older clauses that have no effect any more are dropped.
    private static let longest = 64

    private var clauses: [Clause] = []

    private struct Clause: Hashable, Sendable {
        let target: String?
        let level: LogLevel
    }

    /// Everything at `info`.
    package init() {}

    /// Reads a filter.
    package init(_ text: some StringProtocol) throws(Failure) {
        try append(text)
    }

    /// Adds clauses behind those there are; a clause for the same target replaces the old one.
    package mutating func append(_ text: some StringProtocol) throws(Failure) {
        var added: [Clause] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let clause = part.drop { $0 == " " }
            guard let separator = clause.lastIndex(where: { $0 == "=" || $0 == ":" }) else {
                guard let level = LogLevel(clause) else { throw Failure(clause: Self.quotable(clause)) }
                added.append(Clause(target: nil, level: level))
                continue
            }
            let target = clause[..<separator]
            guard let level = LogLevel(clause[clause.index(after: separator)...]), Self.isTarget(target) else {
                throw Failure(clause: Self.quotable(clause))
            }
            added.append(Clause(target: String(target), level: level))
        }
        var joined = clauses
        for clause in added {
            // A bare level speaks for everything, so nothing said before it matters.
            if clause.target == nil { joined.removeAll() } else { joined.removeAll { $0.target == clause.target } }
            joined.append(clause)
        }
        if joined.count > Self.longest { throw Failure(clause: "more than \(Self.longest) clauses") }
        clauses = joined
    }

    /// The level of a scope.
    package func level(of scope: LogScope) -> LogLevel {
        var level = LogLevel.info
        for clause in clauses {
            guard let target = clause.target else {
                level = clause.level
                continue
            }
            var name = target[...]
            for prefix in ["ztunnel::", "ztun::"] where name.hasPrefix(prefix) { name = name.dropFirst(prefix.count) }
            if name == scope.name || scope.name.hasPrefix("\(name)::") { level = clause.level }
        }
        return level
    }

    private static func isTarget(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy {
                (97...122).contains($0) || (65...90).contains($0) || (48...58).contains($0) || $0 == 95 || $0 == 45
            }
    }

    private static func quotable(_ clause: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        bytes.append(quoted: String(clause), longest: 64)
        return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
    }
}

extension LogFilter: CustomStringConvertible {
    /// The text form; `info` when nothing was said.
    package var description: String {
        guard !clauses.isEmpty else { return "info" }
        return clauses.map { clause in clause.target.map { "\($0)=\(clause.level.name)" } ?? clause.level.name }
            .joined(separator: ",")
    }
}
