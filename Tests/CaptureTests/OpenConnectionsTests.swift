import Testing

@testable import Capture

@Suite struct OpenConnectionsTests {
    @Test func connectionsWithOthersAreCounted() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
        let table = """
               0: 0100007F:1F90 00000000:0000 0A 0 0
               1: 0A013D0A:8001 0A023D0A:1F90 01 0 0
               2: 0100007F:8002 0100007F:1F90 01 0 0
               3: 0A013D0A:8003 0A013D0A:1F90 01 0 0
               4: 0A013D0A:8004 0A023D0A:1F90 06 0 0
            """
        #expect(OpenConnections.count(inTable: head + table) == 1)
        let sixth = """
               0: 0000000000000000FFFF00000A013D0A:8001 0000000000000000FFFF00000A023D0A:1F90 01 0 0
               1: 0000000000000000FFFF00000100007F:8001 0000000000000000FFFF00000100007F:1F90 01 0 0
               2: 00000000000000000000000001000000:8001 00000000000000000000000001000000:1F90 01 0 0
               3: 0100FD61000000000000000010000000:8001 0200FD61000000000000000010000000:1F90 01 0 0
            """
        #expect(OpenConnections.count(inTable: head + sixth) == 2)
    }

    @Test(arguments: ["", "\n", "x", "head\n1: :", "head\n0: A B 01", "head\n: : : 01 :"])
    func nonsenseIsNoConnection(_ table: String) {
        #expect(OpenConnections.count(inTable: table) <= 1)
    }
}

@Suite struct SocketCountTests {
    @Test func tellsThoseOfEachFamily() {
        let v4 = "sockets: used 9\nTCP: inuse 2 orphan 0 tw 5 alloc 8 mem 1\nUDP: inuse 0 mem 0\n"
        #expect(SocketCount.inUse("TCP", in: v4) == 2)
        #expect(SocketCount.inUse("TCP6", in: "TCP6: inuse 3\nUDP6: inuse 1\n") == 3)
    }

    @Test(arguments: ["", "TCP", "TCP: inuse", "TCP: inuse x", "UDP: inuse 3", "TCP: alloc 3"])
    func whatIsNoTableSaysNothing(_ text: String) {
        #expect(SocketCount.inUse("TCP", in: text) == nil)
    }
}
