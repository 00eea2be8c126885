// Package evidence keeps in memory what was asked and answered lately, and what was
// held back or not believed, so that it can be explained. It is pure, and imports
// presence.
package evidence
