// A vCenter without machines but for one template: govmomi's simulator, on loopback, with TLS as clients insist on it.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"

	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// whole gives machines the fields that vCenter always gives, and that clients in Python insist on.
type whole struct{}

func (whole) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Whole", Value: "whole"}
}

func (whole) PutObject(_ *simulator.Context, object mo.Reference) {
	if machine, ok := object.(*simulator.VirtualMachine); ok {
		for _, runtime := range []*types.VirtualMachineRuntimeInfo{&machine.Runtime, &machine.Summary.Runtime} {
			runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
			runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		}
		machine.Snapshot = &types.VirtualMachineSnapshotInfo{}
	}
}

// UpdateObject keeps those fields, and gives a machine its size and its settings back where it goes back to a
// snapshot: the simulator only notes to which one.
func (whole) UpdateObject(context *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	machine, ok := object.(*mo.VirtualMachine)
	if !ok || context == nil {
		return
	}
	if machine.Snapshot == nil {
		machine.Snapshot = &types.VirtualMachineSnapshotInfo{}
	}
	for _, change := range changes {
		reference, ok := change.Val.(types.ManagedObjectReference)
		if !ok || change.Name != "snapshot.currentSnapshot" {
			continue
		}
		snapshot, ok := context.Map.Get(reference).(*simulator.VirtualMachineSnapshot)
		if !ok {
			continue
		}
		machine.Config.Hardware.NumCPU = snapshot.Config.Hardware.NumCPU
		machine.Config.Hardware.MemoryMB = snapshot.Config.Hardware.MemoryMB
		machine.Config.ExtraConfig = nil
		for _, one := range snapshot.Config.ExtraConfig {
			copied := *one.GetOptionValue()
			machine.Config.ExtraConfig = append(machine.Config.ExtraConfig, &copied)
		}
	}
}

func (whole) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

func main() {
	model := simulator.VPX()
	model.Machine = 1
	model.Autostart = false // templates do not run
	if err := model.Create(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	machines := model.Map()
	for _, machine := range machines.All("VirtualMachine") {
		whole{}.PutObject(nil, machine.(mo.Reference))
	}
	machines.AddHandler(whole{})
	model.Service.TLS = new(tls.Config)
	model.Service.RegisterEndpoints = true // the REST API too
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println(server.URL.Host)
	io.Copy(io.Discard, os.Stdin) // until whoever started it is gone
}
