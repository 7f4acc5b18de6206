// Package rotation decides who is on call.
package rotation

import "time"

const (
	ackMinutes      = 15
	escalateMinutes = 30
)

// Engineer is somebody who may be on call.
type Engineer struct {
	Name      string
	StartedOn time.Time
	Away      []Absence
}

// Absence is a stretch of days, both ends included.
type Absence struct {
	From, To time.Time
}

// CanBeOnCall tells whether an engineer may take the week that begins on monday.
// New colleagues are spared for three months.
func (e Engineer) CanBeOnCall(monday time.Time) bool {
	if monday.Before(e.StartedOn.AddDate(0, 3, 0)) {
		return false
	}
	sunday := monday.AddDate(0, 0, 6)
	for _, away := range e.Away {
		if !away.To.Before(monday) && !away.From.After(sunday) {
			return false
		}
	}
	return true
}

// PickPair returns the primary and the secondary of a week: those who can be on call and whose
// last turn is longest ago. It returns false when fewer than two can.
func PickPair(team []Engineer, lastTurn map[string]time.Time, monday time.Time) (primary, secondary Engineer, ok bool) {
	var free []Engineer
	for _, engineer := range team {
		if engineer.CanBeOnCall(monday) {
			free = append(free, engineer)
		}
	}
	if len(free) < 2 {
		return Engineer{}, Engineer{}, false
	}
	for i := 0; i < 2; i++ {
		for j := i + 1; j < len(free); j++ {
			if lastTurn[free[j].Name].Before(lastTurn[free[i].Name]) {
				free[i], free[j] = free[j], free[i]
			}
		}
	}
	return free[0], free[1], true
}

// EscalationTarget says who is paged next when nobody has acknowledged for some minutes.
func EscalationTarget(minutes int) string {
	switch {
	case minutes < ackMinutes:
		return "primary"
	case minutes < escalateMinutes:
		return "secondary"
	default:
		return "engineering manager"
	}
}
