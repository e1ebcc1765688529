/// What ztund says of one pod's capture.
package struct PodCaptureStatus: Sendable, Hashable {
    /// The pod and the path of its network namespace.
    package let location: PodLocation
    /// Where it stands.
    package let phase: PodEnrolment.Phase
    /// Why it is not enrolled, or what went wrong last; nil when all is well. For a person.
    package let reason: String?
    /// How its traffic is captured; ``CaptureMode/auto`` while that is not decided.
    package let mode: CaptureMode
    /// Why in this way.
    package let modeReason: String
    /// When the phase began, in nanoseconds of the clock that ``PodCapture/advance(now:)`` is given.
    package let since: UInt64
    /// How often something that had been removed behind ztund's back was put back.
    package let repairs: Int
    /// What the last repair put back; empty when there was none.
    package let lastRepair: String
    /// Why an enrolled pod's capture does not do what it should; nil when it does. For a person.
    package let degradation: String?
    /// How the last test of its capture ended; nil when there was none.
    package let canary: CanaryReport?
    /// The connections that were open when it was enrolled; nil before.
    package let older: OlderConnections?
}
