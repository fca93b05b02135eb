module cost-center

go 1.24
