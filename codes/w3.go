package codes

// W3: data path.
func init() {
	register()
}
