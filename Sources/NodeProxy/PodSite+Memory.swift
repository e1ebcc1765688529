internal import Capture
internal import HBONE
internal import MeshModel

extension PodSite: FairShareOwner {
    /// Why nothing new is taken now; nil while there is memory.
    func lackOfMemory() -> TunnelFailure? {
        guard share.memory.isFull else { return nil }
        share.memory.countRefusal()
        let memory = share.memory
        let whole = worker.services.memory.process
        return TunnelFailure(
            .overLimit,
            "the memory for slow readers is used up: pod \(location.pod) holds \(memory.held) of \(memory.budget) bytes, "
                + "the process \(whole.held) of \(whole.budget)")
    }

    func shedHeaviest() {
        guard let heaviest = connections.max(by: \.keptBytes), heaviest.keptBytes > 0 else { return }
        share.memory.countShed()
        heaviest.cut(
            TunnelFailure(
                .overLimit,
                "the memory of pod \(location.pod) for slow readers is used up, and this connection held the most: "
                    + "\(heaviest.keptBytes) bytes"))
    }
}
