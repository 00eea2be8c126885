package main

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"slices"
)

// smaller writes a picture with 256 colours. A page has few, and many between them at
// the edges of letters: that the rarest of these are replaced by their neighbours is not
// seen.
func smaller(picture []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	count := map[color.RGBA]int{}
	area := from.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[rgba(from.At(x, y))]++
		}
	}
	common := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return cmp.Compare(count[b], count[a]) })
	palette := choose(common)
	nearest := map[color.RGBA]uint8{}
	for c := range count {
		nearest[c] = uint8(palette.Index(c))
	}
	to := image.NewPaletted(area, palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			to.SetColorIndex(x, y, nearest[rgba(from.At(x, y))])
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, to)
	return out.Bytes(), err
}

// choose takes of colours, the most common first, those that are unlike the ones before
// them, as long as there is room.
func choose(common []color.RGBA) color.Palette {
	palette := color.Palette{common[0]}
	for _, apart := range []int{24, 12, 6, 0} {
		for _, c := range common {
			if len(palette) == 256 {
				return palette
			}
			if distance(c, rgba(palette[palette.Index(c)])) > apart {
				palette = append(palette, c)
			}
		}
	}
	return palette
}

func distance(a, b color.RGBA) int {
	of := func(x, y uint8) int { return max(int(x)-int(y), int(y)-int(x)) }
	return of(a.R, b.R) + of(a.G, b.G) + of(a.B, b.B)
}

func rgba(c color.Color) color.RGBA {
	r, g, b, a := c.RGBA()
	return color.RGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: uint8(a >> 8)}
}
