/// The certificate revocation lists a program looks after.
package struct RevocationStatus: Codable, Sendable, Hashable {
    package var path: String
    /// How many lists are in force.
    package var lists: Int
    /// How many serial numbers they name.
    package var revoked: Int
    /// When they were loaded; nil when none ever was.
    package var loadedAt: StatusTime?
    /// Why the newest file is not in force; empty when it is.
    package var error: String

    package init(path: String, lists: Int = 0, revoked: Int = 0) {
        self.path = path
        self.lists = lists
        self.revoked = revoked
        error = ""
    }
}
