import Testing

@testable import ControlPlane

/// Numbers that look random and are the same in every run.
private struct Sequence64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }
}

@Suite struct HostileStateTests {
    private static let interesting: [[UInt8]] = [
        Array("*x".utf8), Array("&x ".utf8), Array("\n- ".utf8), Array("\n  ".utf8), Array(": ".utf8), Array("? ".utf8),
        Array("[[[[".utf8), Array("}".utf8), Array("\"".utf8), Array("'".utf8), Array("---\n".utf8),
        Array("...\n".utf8),
        Array("!!str ".utf8), Array("!x ".utf8), Array("|\n".utf8), Array(">-\n".utf8), Array("%YAML 9.9\n".utf8), [0],
        [0xff],
        [0xef, 0xbb, 0xbf], Array("~".utf8), Array("-1".utf8), Array("99999999999999999999".utf8), Array("\t".utf8),
        Array("<<: ".utf8),
    ]

    @Test(arguments: ["localhost.yaml", "every-field.yaml"], 0..<4)
    func damagedFilesAreRefusedOrRead(name: String, seed: Int) throws {
        let good = try Fixture.bytes(name)
        var random = Sequence64(seed: UInt64(seed) &+ 1)
        var refused = 0
        for _ in 0..<500 {
            var bytes = good
            for _ in 0...random.next(below: 3) {
                let place = random.next(below: bytes.count)
                switch random.next(below: 4) {
                case 0: bytes[place] = UInt8(random.next(below: 256))
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.next(below: 40)))
                case 2:
                    bytes.insert(contentsOf: Self.interesting[random.next(below: Self.interesting.count)], at: place)
                default: bytes.removeLast(bytes.count - place)
                }
                if bytes.isEmpty { bytes = [10] }
            }
            do throws(ConfigurationError) {
                _ = try LocalState(parsing: bytes, file: "f.yaml", trustDomain: "cluster.local")
            } catch {
                refused += 1
                let text = error.description
                #expect(text.hasPrefix("f.yaml: "))
                #expect(!text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }, "\(text)")
            }
        }
        // Most damage must show; a comment or a name may take some.
        #expect(refused > 250)
    }
}
