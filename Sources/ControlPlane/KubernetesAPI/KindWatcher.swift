internal import Glibc

/// Lists and watches one kind of objects, for a thread of its own: does what its ``WatchSession`` says.
final class KindWatcher {
    private let kind: WatchedKind
    private let index: Int
    private let server: APIServer
    private let connection: APIConnection
    private let inbox: KubernetesInbox
    private let stop: StopSignal
    private var session: WatchSession
    private var reader: APIObjectReader
    private let unread: Set<String>
    /// What the pages of the list that is under way have named.
    private var seen: Set<ObjectReference> = []

    /// Objects in a page.
    private static let pageSize = 500
    /// Milliseconds for one page.
    private static let pageTime = 60_000

    init(_ kind: WatchedKind, at index: Int, of server: APIServer, inbox: KubernetesInbox, stop: StopSignal) {
        (self.kind, self.index, self.server, self.inbox, self.stop) = (kind, index, server, inbox, stop)
        connection = APIConnection(server, stop: stop)
        session = WatchSession(versionCount: kind.versions.count)
        reader = APIObjectReader(kind, source: server.description)
        unread = kind.unread
    }

    /// Does the next thing; returns the milliseconds after which to call again, -1 when the process ends.
    func step() -> Int {
        switch session.next(now: APIConnection.now()) {
        case .wait(let milliseconds): return milliseconds
        case .list(let token): return attempt { () throws(APIFailure) in try list(continuing: token) }
        case .watch(let version): return attempt { () throws(APIFailure) in try watch(since: version) }
        }
    }

    private func attempt(_ body: () throws(APIFailure) -> Void) -> Int {
        let wasOpen = connection.isOpen
        do throws(APIFailure) {
            do throws(APIFailure) {
                try body()
            } catch {
                // A kept connection may have been ended meanwhile, which says nothing of the server.
                guard wasOpen, case .transport = error, !hasAnswer else { throw error }
                try body()
            }
        } catch {
            return onFailure(error)
        }
        return 0
    }

    /// Whether the request under way has brought anything.
    private var hasAnswer = false

    private func onFailure(_ failure: APIFailure) -> Int {
        let fault: WatchSession.Fault
        switch failure {
        case .stopped: return -1
        case .status(let code, _, let retryAfter): fault = .status(code, retryAfter: retryAfter)
        case .rubbish: fault = .expired
        case .transport, .credentials, .timeout: fault = .broken
        }
        if case .status = failure {} else { connection.close() }
        session.onFault(fault, now: APIConnection.now(), random: Double.random(in: 0...1))
        if fault == .expired || fault == .status(410, retryAfter: nil) { seen = [] }
        let session = session
        let isExpected = if case .status(410, _, _) = failure { true } else { session.knowledge == .absent }
        let text =
            if case .status(404, _, _) = failure, !kind.isOptional || session.knowledge == .listed {
                "it is not served any more; what was known stays in force"
            } else {
                failure.description
            }
        inbox.add([], of: index) { report in
            report.knowledge = session.knowledge
            report.fault = isExpected ? "" : text
        }
        return 0
    }

    // MARK: - Lists

    private func list(continuing token: String) throws(APIFailure) {
        if token.isEmpty { seen = [] }
        let target =
            kind.target(session.versionIndex) + "limit=\(Self.pageSize)"
            + (token.isEmpty ? "" : "&continue=\(Self.escaped(token))")
        hasAnswer = false
        try connection.send("GET", target)
        let deadline = APIConnection.now() + Self.pageTime
        var response = try connection.receive(until: deadline)
        hasAnswer = true
        while !response.isComplete { response = try connection.receive(until: deadline) }
        let body = response.takeBody()
        guard response.status == 200 else { throw failure(response, body) }
        let version = kind.apiVersion(session.versionIndex)
        var edits: [ObjectEdit] = []
        var names: [ObjectReference] = []
        var leftOut = 0
        let root: YAMLNode
        do throws(JSONReader.Fault) {
            root = try JSONReader.readList(body, skipping: unread) { [self] item in
                do throws(APIFailure) {
                    names.append(try reader.reference(item, isListed: true))
                    if let edit = try reader.edit(item, version: version, isListed: true) { edits.append(edit) }
                } catch {
                    leftOut += 1
                }
            }
        } catch {
            throw .rubbish("its list of \(kind.plural) is \(error)")
        }
        let listed = root["kind"]?.string ?? ""
        let resourceVersion = APIObjectReader.resourceVersion(root)
        guard listed == "\(kind.kind)List", !resourceVersion.isEmpty, leftOut == 0 || !names.isEmpty else {
            throw .rubbish("what it sends is no list of \(kind.plural) but a \(listed.quoted)")
        }
        let isFirst = session.isFirstPage
        seen.formUnion(names)
        let next = root["metadata"]?["continue"]?.string ?? ""
        if session.onPage(resourceVersion: resourceVersion, continuing: next) {
            edits.append(.sweep(kind: kind.kind == "ConfigMap" ? "MeshConfig" : kind.kind, keeping: seen))
            seen = []
        }
        let knowledge = session.knowledge
        inbox.add(edits, of: index) { report in
            report.fault = ""
            report.knowledge = knowledge
            if isFirst { report.lists += 1 }
            report.note = leftOut == 0 ? "" : "\(leftOut) of its objects have another kind or no name and are left out"
        }
    }

    // MARK: - Watches

    private func watch(since resourceVersion: String) throws(APIFailure) {
        // Not all at once, and not with all other nodes.
        let seconds = Int.random(in: 240...360)
        hasAnswer = false
        try connection.send(
            "GET",
            kind.target(session.versionIndex)
                + "watch=1&allowWatchBookmarks=true&timeoutSeconds=\(seconds)&resourceVersion=\(Self.escaped(resourceVersion))"
        )
        let deadline = APIConnection.now() + (seconds + 30) * 1000
        var isFirst = true
        while true {
            let response = try connection.receive(until: isFirst ? APIConnection.now() + Self.pageTime : deadline)
            hasAnswer = true
            guard response.status == 200 else {
                var response = response
                while !response.isComplete { response = try connection.receive(until: APIConnection.now() + 10_000) }
                throw failure(response, response.takeBody())
            }
            if isFirst {
                session.onWatchStart(now: APIConnection.now())
                inbox.add([], of: index) { $0.fault = "" }
                isFirst = false
            }
            try takeEvents(response)
            if response.isComplete {
                return session.onWatchEnd(now: APIConnection.now(), random: Double.random(in: 0...1))
            }
        }
    }

    private func takeEvents(_ response: APIResponse) throws(APIFailure) {
        var edits: [ObjectEdit] = []
        // What came before something unusable counts.
        defer { if !edits.isEmpty { inbox.add(edits, of: index) { _ in } } }
        var start = 0
        while let line = response.takeLine(&start) {
            guard line.contains(where: { $0 > 32 }) else { continue }
            if let edit = try event(line) { edits.append(edit) }
        }
    }

    private func event(_ line: ArraySlice<UInt8>) throws(APIFailure) -> ObjectEdit? {
        let root: YAMLNode
        do throws(JSONReader.Fault) {
            root = try JSONReader.read(line, skipping: unread)
        } catch {
            throw .rubbish("an event of \(kind.plural) is \(error)")
        }
        let type = root["type"]?.string ?? ""
        guard let object = root["object"] else { throw .rubbish("an event of \(kind.plural) has no object") }
        if type == "ERROR" {
            throw .status(object["code"]?.integer ?? 500, message: Self.message(object), retryAfter: nil)
        }
        let version = APIObjectReader.resourceVersion(object)
        guard !version.isEmpty else { throw .rubbish("an event of \(kind.plural) has no version") }
        let reference = type == "BOOKMARK" ? nil : try reader.reference(object, isListed: false)
        switch session.onEvent(resourceVersion: version, now: APIConnection.now()) {
        case .fresh: break
        case .repeated: return nil
        case .stale: throw .rubbish("the versions of \(kind.plural) went back: the list is asked for again")
        }
        guard let reference else { return nil }
        switch type {
        case "ADDED", "MODIFIED":
            return try reader.edit(object, version: kind.apiVersion(session.versionIndex), isListed: false)
        case "DELETED": return .remove(reference)
        default: throw .rubbish("an event of \(kind.plural) has the type \(type.quoted)")
        }
    }

    // MARK: - Texts

    private func failure(_ response: APIResponse, _ body: [UInt8]) -> APIFailure {
        let status = try? JSONReader.read(body)
        return .status(response.status, message: status.map(Self.message) ?? "", retryAfter: response.retryAfter)
    }

    /// What a Status object says, safe for a line of a log.
    private static func message(_ status: YAMLNode) -> String {
        status["message"]?.string.map(\.quoted) ?? ""
    }

    /// For a query.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
            escaped += isPlain ? String(Unicode.Scalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return escaped
    }
}
