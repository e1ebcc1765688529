/// The body of `POST /policy-diff`.
package struct PolicyDiffRequest: Codable, Sendable, Hashable {
    package struct File: Codable, Sendable, Hashable {
        /// For messages.
        package var name: String
        package var text: String

        package init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }
    package var manifests: [File]
    /// Whether the policies in force (AuthorizationPolicy, PeerAuthentication, NetworkPolicy) are left out.
    package var replace: Bool

    package init(manifests: [File], replace: Bool) {
        self.manifests = manifests
        self.replace = replace
    }
}

/// Whose verdict manifests would change, as this node has seen it.
package struct PolicyDiffReport: Codable, Sendable, Hashable {
    /// What is decided about connections that are alike, or about one that is open.
    package struct Verdict: Codable, Sendable, Hashable {
        package var allowed: Bool
        /// The token of the refusal; empty where there is none.
        package var reason = ""
        /// The resource and rule that decides, `NetworkPolicy app/web`; empty where none does.
        package var decidedBy = ""
        /// `source node`, `waypoint` or `destination node`.
        package var place = ""

        package init(allowed: Bool) { self.allowed = allowed }
    }
    package struct Change: Codable, Sendable, Hashable {
        /// `open` for one connection, `class` for those of the last day that are alike.
        package var kind: String
        package var direction: String
        /// `namespace/name` of the caller, or its address.
        package var source: String
        package var destination: String
        package var port: UInt16
        package var service: String
        package var mutual: Bool
        package var before: Verdict
        package var after: Verdict
        /// Open: whether the edit would cut it; false where the namespace lets edits keep what is open.
        package var cut = false
        /// Open: the addresses of both sides.
        package var sourceAddress = ""
        package var destinationAddress = ""
        /// Class: how many in the last day, and the last one.
        package var connections: UInt64 = 0
        package var lastSeen: StatusTime?

        package init(
            kind: String, direction: String, source: String, destination: String, port: UInt16, service: String,
            mutual: Bool, before: Verdict, after: Verdict
        ) {
            self.kind = kind
            self.direction = direction
            self.source = source
            self.destination = destination
            self.port = port
            self.service = service
            self.mutual = mutual
            self.before = before
            self.after = after
        }
    }

    package var program: String
    /// Since when the journal looks, at most a day back.
    package var since: StatusTime
    /// How many were looked at.
    package var openConnections = 0
    package var classes = 0
    package var changes: [Change] = []
    /// Whether the list is cut.
    package var omitted = 0
    package var notes: [String] = []

    package init(program: String, since: StatusTime) {
        self.program = program
        self.since = since
    }
}
