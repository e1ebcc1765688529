import HTTP2
import MeshModel
import Testing

@testable import NodeProxy

struct BaggageTests {
    private func baggage(_ fields: String...) -> Baggage? {
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        for field in fields { head.append("baggage", field) }
        return Baggage(head)
    }

    @Test func whatWeWriteIsReadBack() throws {
        var fields = Workload.Fields()
        fields.namespace = "shop"
        fields.workloadName = "cart"
        fields.workloadType = "deployment"
        fields.canonicalName = "cart-svc"
        fields.canonicalRevision = "v2"
        fields.clusterID = "east"
        fields.locality = Workload.Locality(region: "r", zone: "z", subzone: "s")
        let read = try #require(baggage(TunnelHeaders.baggage(of: Workload(fields), clusterID: "other")))
        #expect((read.cluster, read.namespace, read.workload) == ("east", "shop", "cart"))
        #expect((read.service, read.version) == ("cart-svc", "v2"))
        #expect((read.region, read.zone) == ("r", "z"))
    }

    @Test(arguments: ["", ",,,", "k8s.deployment.name", "k8s.deployment.name=", "unknown=1", "=x", "; ,"])
    func nothingToSayIsNone(field: String) {
        #expect(baggage(field) == nil)
    }

    @Test func noField() {
        #expect(baggage() == nil)
    }

    @Test(arguments: ["deployment", "cronjob", "job", "pod"])
    func everyKindOfWorkload(kind: String) {
        #expect(baggage("k8s.\(kind).name=x")?.workload == "x")
    }

    @Test func severalFieldsAddUp() {
        let read = baggage("k8s.namespace.name=a", "service.name=b")
        #expect(read?.namespace == "a" && read?.service == "b")
    }

    @Test func propertiesAndSpaceAreLeftOut() {
        #expect(baggage("x=1 ,\tservice.name \t=  b ;p=1;q, y=2")?.service == "b")
    }

    @Test(arguments: ["a\u{1b}[31m", "a b", "\u{e9}", "a\nb", "\u{202e}x"])
    func valuesThatCouldGarbleALogAreLeftOut(value: String) {
        #expect(baggage("service.name=\(value)") == nil)
    }

    @Test func valuesAreBounded() {
        let long = String(repeating: "x", count: 253)
        #expect(baggage("service.name=\(long)")?.service == long)
        #expect(baggage("service.name=\(long)x") == nil)
    }

    @Test func membersAreBounded() {
        let many = String(repeating: "a=b,", count: 32)
        #expect(baggage("\(many)service.name=late") == nil)
        #expect(baggage("\(many.dropLast(4))service.name=last")?.service == "last")
        #expect(baggage(many, "service.name=late") == nil, "over all fields together")
    }
}
