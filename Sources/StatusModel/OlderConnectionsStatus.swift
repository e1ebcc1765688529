/// Connections of a pod that were open when it was enrolled: they go past the mesh until they end.
package struct OlderConnectionsStatus: Codable, Sendable, Hashable {
    /// One of them, as the pod sees it.
    package struct Connection: Codable, Sendable, Hashable {
        package var local: String
        package var remote: String

        package init(local: String, remote: String) {
            self.local = local
            self.remote = remote
        }
    }

    /// How many there were at enrolment.
    package var atEnrolment: Int
    /// How many of them were open when ztund last looked.
    package var open: Int
    /// Some of those that are open.
    package var listed: [Connection]

    package init(atEnrolment: Int, open: Int, listed: [Connection]) {
        self.atEnrolment = atEnrolment
        self.open = open
        self.listed = listed
    }
}
