package zimsim

import (
	"strconv"
	"strings"
)

const namePrefix = "user-"

// UserName is the id of the n-th user of a living population, counted from 1: user-000001.
func UserName(n int) string {
	digits := strconv.Itoa(n)
	return namePrefix + "000000"[min(len(digits), 6):] + digits
}

// number is the inverse of UserName, from 0, for the users that there are.
func (p *living) number(user string) (uint32, bool) {
	digits, ok := strings.CutPrefix(user, namePrefix)
	if !ok || len(digits) < 6 || len(digits) > 10 || len(digits) > 6 && digits[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint32(n - 1), n >= 1 && n <= p.Users
}
