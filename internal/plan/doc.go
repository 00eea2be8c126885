// Package plan reckons what a watchlist costs: how long a sweep takes, how late a
// change is seen, how much of the budget is used. It is pure, and imports the standard
// library alone.
package plan
