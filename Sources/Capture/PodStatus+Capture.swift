package import StatusModel

extension PodCaptureStatus {
    /// The pod as `ztun status` shows it, without what the data path knows of it.
    ///
    /// - Parameters:
    ///   - now: nanoseconds of the clock that ``PodCapture/advance(now:)`` is given.
    ///   - realtime: nanoseconds since 1970 at the same moment.
    package func podStatus(now: UInt64, realtime: UInt64) -> PodStatus {
        let state: PodStatus.State =
            switch phase {
            case .enrolled: .captured
            case .pending: reason == nil ? .pending : .failed
            case .removing, .removed: .draining
            }
        let age = now >= since ? now - since : 0
        var status = PodStatus(
            namespace: location.namespace, name: location.name, netns: location.path, state: state,
            since: StatusTime(unixNanoseconds: realtime >= age ? realtime - age : 0))
        status.reason = reason ?? ""
        status.repairs = UInt64(repairs)
        return status
    }
}
