#pragma once
#include "Engine/SkeletalMesh.h"

class USkeletalMeshComponent
{
public:
	USkeletalMesh* GetSkeletalMeshAsset() const { return nullptr; }
	void SetMorphTarget(FName, float, bool bRemoveZeroWeight = true) { (void)bRemoveZeroWeight; }
};
