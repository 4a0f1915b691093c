#pragma once
#include "Animation/MorphTarget.h"

class USkeletalMesh
{
public:
	const TArray<UMorphTarget*>& GetMorphTargets() const { return It; }
	TArray<UMorphTarget*> It;
};
