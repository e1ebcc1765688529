/// How the last test of a pod's capture ended.
package struct CanaryStatus: Codable, Sendable, Hashable {
    package var passed: Bool
    /// Why it failed; empty when it passed.
    package var reason: String
    /// What could not be tried from here, each with the reason.
    package var untried: [String]
    /// From the first connection to the last arrival.
    package var microseconds: UInt64

    package init(passed: Bool, reason: String, untried: [String], microseconds: UInt64) {
        self.passed = passed
        self.reason = reason
        self.untried = untried
        self.microseconds = microseconds
    }
}
