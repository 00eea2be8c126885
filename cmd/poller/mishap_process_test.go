package main

// mishapsOfProcess are those of the program itself, and of its machine.
func mishapsOfProcess() []mishap {
	return []mishap{
		{
			what:   "The only process dies and is not started again",
			happen: func(s *theatre) { s.daemon.kill() }, over: func(s *theatre) { s.startDaemon() }, ends: true,
			page: "there is no page", alerts: []string{"PollerDown", "PollerAbsent"},
		},
	}
}
